"""The CLIP2Video model (arXiv 2106.11097): wiring of parts, nothing else.

B videos, N captions, T frames, T' time steps of a tower, L text tokens, K kinds of embedding, D
embedding width. What is made of an item has one name at each stage, in all of mmc2v:

- tokens are what towers and neck make of frames and of words: (B, T', D), (N, L, D);
- ``embed_*`` gives unit vectors, one a kind, (*, K, D), which the loss contrasts;
- ``encode_*`` joins those into one unit vector, (*, K * D); their inner products are the scores.
"""
from typing import Optional, Union

import torch
from mmengine.model import BaseModel
from torch import Tensor

from mmc2v.registry import MODELS

from .clip.initialise import initialise
from .contracts import (
    require_frame_tokens,
    require_pairs,
    require_text_tokens,
    require_tower,
    require_valid_frames,
    require_video_tokens,
)
from .heads.finite_loss import require_finite
from .parts import Part, build_part
from .text_chunks import embed_by_length


@MODELS.register_module()
class CLIP2Video(BaseModel):
    """Dual encoder of videos and captions.

    Args:
        backbone (dict | nn.Module): Video tower, (B, T, 3, H, W) frames and their (B, T) mask ->
            (B, T', D) tokens and their (B, T') mask.
        text_backbone (dict | nn.Module): Text tower, (N, L) -> TextTokens.
        neck (dict | nn.Module): Mixes frames over time, (B, T', D) and mask -> VideoTokens.
        head (dict | nn.Module): Makes embeddings, scores and the loss.
        pretrained (str, optional): CLIP weights that :meth:`init_weights` starts from, see
            :func:`~mmc2v.models.clip.weights.read_clip_weights`. Defaults to none: all random.
        data_preprocessor (dict | nn.Module, optional): Defaults to
            :class:`RetrievalDataPreprocessor`.

    Raises:
        ValueError: If the backbone takes no mask, or the neck has a local branch that the head
            does not read: it would get no gradient, which breaks distributed training.
    """

    def __init__(self, backbone: Part, text_backbone: Part, neck: Part, head: Part,
                 pretrained: Optional[str] = None, data_preprocessor: Optional[Part] = None,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(
            data_preprocessor or dict(type='mmc2v.RetrievalDataPreprocessor'), init_cfg)
        self.backbone = require_tower(build_part(backbone))
        self.text_backbone = build_part(text_backbone)
        self.neck = build_part(neck)
        self.head = build_part(head)
        self.pretrained = pretrained
        if hasattr(self.data_preprocessor, 'end_token'):  # it sees captions before they are moved
            self.data_preprocessor.end_token = getattr(
                getattr(self.text_backbone, 'convention', None), 'end_token', None)
        if getattr(self.neck, 'local_branch', None) is not None and self.head.alignment is None:
            raise ValueError(
                f'neck.local_branch={type(self.neck.local_branch).__name__} makes tokens for an '
                'alignment block, but head.alignment is None: its parameters would get no '
                'gradient. Remove the local branch or add an alignment block')

    def init_weights(self) -> list[str]:
        """Start from what the config names; return the names of parameters that stay random."""
        return initialise(self, self.pretrained)

    def frame_tokens(self, frames: Tensor, frame_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the tower makes of videos, (B, T', D), and its (B, T') mask."""
        return require_frame_tokens(self.backbone, self.backbone(frames, frame_mask),
                                    frame_mask.shape[0])

    def embed_video(self, frames: Tensor, frame_mask: Optional[Tensor] = None) -> Tensor:
        """Embed videos.

        Args:
            frames (Tensor): (B, T, 3, H, W), normalised.
            frame_mask (Tensor, optional): (B, T) bool, True = valid. Defaults to all.

        Returns:
            Tensor: (B, K, D) unit vectors, one a kind.

        Raises:
            ValueError: If a video on the host has no valid frame; see also
                :mod:`mmc2v.models.contracts`.
        """
        if frame_mask is None:
            frame_mask = torch.ones(frames.shape[:2], dtype=torch.bool, device=frames.device)
        require_valid_frames(frame_mask)
        tokens = self.neck(*self.frame_tokens(frames, frame_mask))
        return self.head.embed_video(require_video_tokens(self.neck, tokens, frames.shape[0]))

    def embed_text(self, tokens: Tensor) -> Tensor:
        """Embed captions, (N, L) token ids, as (N, K, D) unit vectors, one a kind."""
        return self.head.embed_text(require_text_tokens(
            self.text_backbone, self.text_backbone(tokens), tokens.shape[0]))

    def encode_video(self, frames: Tensor, frame_mask: Optional[Tensor] = None) -> Tensor:
        """Return (B, K * D) unit vectors of videos; the arguments are :meth:`embed_video`'s."""
        return self.head.flatten(self.embed_video(frames, frame_mask))

    def encode_text(self, tokens: Tensor) -> Tensor:
        """Return (N, K * D) unit vectors of captions; their products with videos are the scores."""
        return self.head.flatten(self.embed_text(tokens))

    def extract_feat(self, frames: Tensor) -> Tensor:
        """Do as :meth:`encode_video`; MMAction2's ``get_flops.py`` counts what this does."""
        return self.encode_video(frames)

    def forward(self, inputs: dict, data_samples: Optional[list] = None,
                mode: str = 'tensor') -> Union[tuple, dict[str, Tensor], list]:
        """Run one of the three modes.

        Args:
            inputs (dict): ``frames`` (B, T, 3, H, W), ``frame_mask`` (B, T) bool, ``tokens``
                (N, L), ``captions_per_video`` (list of B ints). In the modes 'tensor' and
                'predict' either modality may be absent.
            data_samples (list, optional): B data samples, which mode 'predict' adds to and of
                which mode 'loss' names those that make a loss NaN.
            mode (str): 'tensor' gives a tuple of what ``embed_video`` and ``embed_text`` give, None
                where absent; 'loss' a dict of losses; 'predict' the data samples with embeddings.

        Raises:
            ValueError: If the mode is unknown, or pairs are incomplete in training.
            FloatingPointError: On all ranks, if a loss is NaN or infinite on one of them.
        """
        if mode == 'loss':
            return self.loss(inputs, data_samples)
        if mode not in ('tensor', 'predict'):
            raise ValueError(f"mode must be 'tensor', 'loss' or 'predict', got '{mode}'")
        video = self.embed_video(inputs['frames'], inputs.get('frame_mask')) \
            if 'frames' in inputs else None
        text = None
        if 'tokens' in inputs:  # in evaluation captions of very different lengths come together
            text = self.embed_text(inputs['tokens']) if mode == 'tensor' else embed_by_length(
                self.embed_text, inputs['tokens'], getattr(self.data_preprocessor, 'pad_token', 0))
        return (video, text) if mode == 'tensor' else self.head.predict(
            data_samples, video, text, inputs.get('captions_per_video'))

    def loss(self, inputs: dict, data_samples: Optional[list] = None) -> dict[str, Tensor]:
        """Contrast the pairs of a batch; caption i belongs to video i."""
        require_pairs(len(inputs['frames']), len(inputs['tokens']))
        video = self.embed_video(inputs['frames'], inputs.get('frame_mask'))
        text = self.embed_text(inputs['tokens'])
        losses = self.head.loss(text, video)
        require_finite(losses, text, video, data_samples)
        return losses
