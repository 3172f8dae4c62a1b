"""The CLIP2Video model (arXiv 2106.11097): wiring of parts, nothing else.

B videos, N captions, T frames, L text tokens, K kinds of embedding, D embedding width.
"""
import logging
from typing import Optional, Union

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModel
from open_clip.pretrained import get_pretrained_cfg
from torch import Tensor

from mmc2v.registry import MODELS

from .clip.architecture import clip_config, clip_preprocessing
from .clip.weights import read_clip_weights
from .contracts import require_frames, require_text_tokens, require_video_tokens
from .heads.finite_loss import require_finite
from .necks.transformer import MaskedTransformer
from .parts import Part, build_part, loads_by_init_cfg, start_from_clip
from .text_chunks import embed_by_length


@MODELS.register_module()
class CLIP2Video(BaseModel):
    """Dual encoder of videos and captions.

    Args:
        backbone (dict | nn.Module): Image encoder, (*, 3, H, W) -> (*, D); or, with
            ``takes_mask = True``, video encoder, (B, T, 3, H, W) and a (B, T) mask -> (B, T', D)
            and a (B, T') mask, such as :class:`MMActionBackbone`.
        text_backbone (dict | nn.Module): Text encoder, (N, L) -> TextTokens.
        neck (dict | nn.Module): Mixes frames over time, (B, T, D) -> VideoTokens.
        head (dict | nn.Module): Makes embeddings, scores and the loss.
        pretrained (str, optional): CLIP weights that :meth:`init_weights` starts from, see
            :func:`~mmc2v.models.clip.weights.read_clip_weights`. Defaults to none: all random.
        data_preprocessor (dict | nn.Module, optional): Defaults to
            :class:`RetrievalDataPreprocessor`.

    Raises:
        ValueError: If the neck has a local branch that the head does not read: its parameters
            would get no gradient, which breaks distributed training.
    """

    def __init__(self, backbone: Part, text_backbone: Part, neck: Part, head: Part,
                 pretrained: Optional[str] = None, data_preprocessor: Optional[Part] = None,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(
            data_preprocessor or dict(type='mmc2v.RetrievalDataPreprocessor'), init_cfg)
        self.backbone = build_part(backbone)
        self.text_backbone = build_part(text_backbone)
        self.neck = build_part(neck)
        self.head = build_part(head)
        self.pretrained = pretrained
        if getattr(self.neck, 'local_branch', None) is not None and self.head.alignment is None:
            raise ValueError(
                f'neck.local_branch={type(self.neck.local_branch).__name__} makes tokens for an '
                'alignment block, but head.alignment is None: its parameters would get no '
                'gradient. Remove the local branch or add an alignment block')

    def init_weights(self) -> list[str]:
        """Initialise, from ``pretrained`` where it is given; the file is read once.

        Returns:
            list[str]: Names of parameters that are random afterwards.
        """
        names = [name for name, _ in self.named_parameters()]
        self._loaded: set[str] = set()
        super().init_weights()
        if self.pretrained is None:
            return [name for name in names if name not in self._loaded]
        archs = [part.arch for part in (self.text_backbone, self.backbone)
                 if hasattr(part, 'arch')]
        if not archs:
            raise ValueError(f"pretrained='{self.pretrained}' needs a CLIP tower to load it")
        if archs[0] != archs[-1]:
            raise ValueError(f"'{self.pretrained}' holds weights of both towers, which must have "
                             f'one arch; text_backbone has {archs[0]}, backbone has {archs[-1]}')
        self._check_preprocessing(archs[0])
        clip = read_clip_weights(self.pretrained, archs[0])
        self._check_heads(archs[0])
        known = self._loaded | start_from_clip(self, clip)
        random = [name for name in names if name not in known]
        source = f"'{self.pretrained}'" + (' and init_cfg' if self._loaded else '')
        print_log(f'{len(known)} parameters start from {source}, {len(random)} at random: '
                  f'{random}', logger='current')
        return random

    def _check_heads(self, arch: Union[str, dict]) -> None:
        """Refuse text blocks of other heads: their weights would fit, and mean something else."""
        heads = clip_config(arch)['text_cfg'].get('heads', 8)
        getattr(self.neck, 'tell_parts', lambda: None)()
        wrong = {part.num_heads for part in self.modules() if isinstance(part, MaskedTransformer)
                 and part.init_from_text and part.num_heads != heads}
        if wrong:
            raise ValueError(f'temporal blocks have {wrong.pop()} attention heads, the text blocks '
                             f'that they start from have {heads}: set num_heads={heads} in the '
                             'neck, or init_from_text=False for a random start')

    def _check_preprocessing(self, arch: Union[str, dict]) -> None:
        """Warn where images are normalised otherwise than weights of open_clip were trained."""
        mean = getattr(self.data_preprocessor, 'mean', None)
        if not isinstance(arch, str) or mean is None or not hasattr(self.backbone, 'arch') \
                or not get_pretrained_cfg(arch, self.pretrained):
            return
        wanted = clip_preprocessing(arch, self.pretrained)
        found = [buffer.flatten().tolist() for buffer in (mean, self.data_preprocessor.std)]
        if not torch.allclose(torch.tensor(found), torch.tensor([wanted.mean, wanted.std]),
                              atol=0.01):
            print_log(f"the weights '{self.pretrained}' of {arch} were trained on images of "
                      f'mean {wanted.mean} and std {wanted.std}, but data_preprocessor has '
                      f'{found[0]} and {found[1]}', logger='current', level=logging.WARNING)

    def _dump_init_info(self) -> None:
        """Take from MMEngine's list what init_cfg loaded, as of MMAction2's backbones.

        It is not printed where CLIP weights are loaded, of which it does not know.
        """
        # its list leaves out what a checkpoint did not change, such as the scale of a new norm
        whole = tuple(loads_by_init_cfg(self))
        self._loaded = {name for name, parameter in self.named_parameters()
                        if name.startswith(whole)
                        or 'load from' in self._params_init_info[parameter]['init_info']}
        if self.pretrained is None:
            super()._dump_init_info()

    def encode_video(self, frames: Tensor, frame_mask: Optional[Tensor] = None) -> Tensor:
        """Embed videos.

        Args:
            frames (Tensor): (B, T, 3, H, W), normalised.
            frame_mask (Tensor, optional): (B, T) bool, True = valid. Defaults to all.

        Returns:
            Tensor: (B, K * D) unit vectors; their inner product with those of
            :meth:`encode_text` is the score.
        """
        return self.head.flatten(self.embed_video(frames, frame_mask))

    def encode_text(self, tokens: Tensor) -> Tensor:
        """Embed captions.

        Args:
            tokens (Tensor): (N, L) token ids.

        Returns:
            Tensor: (N, K * D) unit vectors.
        """
        return self.head.flatten(self.embed_text(tokens))

    def extract_feat(self, frames: Tensor) -> Tensor:
        """Embed videos, all frames valid; MMAction2's ``get_flops.py`` counts what this does.

        Args:
            frames (Tensor): (B, T, 3, H, W).

        Returns:
            Tensor: See :meth:`encode_video`.
        """
        return self.encode_video(frames)

    def embed_video(self, frames: Tensor, frame_mask: Optional[Tensor] = None) -> Tensor:
        """Embed videos as (B, K, D) unit vectors, one a kind.

        Raises:
            ValueError: If a video has no valid frame, or backbone or neck return what they must
                not; see :mod:`mmc2v.models.contracts`.
        """
        if frame_mask is None:
            frame_mask = torch.ones(frames.shape[:2], dtype=torch.bool, device=frames.device)
        empty = (~frame_mask.any(dim=1)).nonzero().flatten().tolist()
        if empty:
            raise ValueError(f'videos {empty} of the batch have no valid frame')
        tokens = self.neck(*self.encode_frames(frames, frame_mask))
        return self.head.embed_video(require_video_tokens(self.neck, tokens, len(frames)))

    def encode_frames(self, frames: Tensor, frame_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the backbone makes of videos, (B, T', D), and its (B, T') mask."""
        takes_mask = getattr(self.backbone, 'takes_mask', False)
        output = self.backbone(frames, frame_mask) if takes_mask else self.backbone(frames)
        return require_frames(self.backbone, output, frame_mask)

    def embed_text(self, tokens: Tensor) -> Tensor:
        """Embed captions as (N, K, D) unit vectors, one a kind."""
        return self.head.embed_text(require_text_tokens(
            self.text_backbone, self.text_backbone(tokens), len(tokens)))

    def embed_captions(self, tokens: Tensor) -> Tensor:
        """Embed any number of captions as (N, K, D), sorted by length and in chunks."""
        pad_token = getattr(self.data_preprocessor, 'pad_token', 0)
        return embed_by_length(self.embed_text, tokens, pad_token)

    def forward(self, inputs: dict, data_samples: Optional[list] = None,
                mode: str = 'tensor') -> Union[tuple, dict[str, Tensor], list]:
        """Run one of the three modes.

        Args:
            inputs (dict): ``frames`` (B, T, 3, H, W), ``frame_mask`` (B, T) bool, ``tokens``
                (N, L), ``captions_per_video`` (list of B ints). In the modes 'tensor' and
                'predict' either modality may be absent.
            data_samples (list, optional): B data samples, which mode 'predict' adds to and of
                which mode 'loss' names those that make a loss NaN.
            mode (str): 'tensor', 'loss' or 'predict'.

        Returns:
            tuple | dict | list: 'tensor': (B, K, D) video and (N, K, D) text embeddings, None
            where absent. 'loss': dict of losses. 'predict': the data samples, with
            ``video_embedding`` (K * D,) and ``text_embeddings`` (n_i, K * D).

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
        # many captions of very different lengths come together in evaluation
        embed_text = self.embed_text if mode == 'tensor' else self.embed_captions
        text = embed_text(inputs['tokens']) if 'tokens' in inputs else None
        return (video, text) if mode == 'tensor' else self._add_embeddings(
            data_samples, video, text, inputs.get('captions_per_video'))

    def loss(self, inputs: dict, data_samples: Optional[list] = None) -> dict[str, Tensor]:
        """Contrast the pairs of a batch; caption i belongs to video i.

        Raises:
            ValueError: If there is not one caption a video.
            FloatingPointError: If the loss is not finite; see
                :func:`~mmc2v.models.heads.finite_loss.require_finite`.
        """
        num_videos, num_captions = len(inputs['frames']), len(inputs['tokens'])
        if num_videos != num_captions:
            raise ValueError(f'training reads pairs, got {num_videos} videos and {num_captions} '
                             'captions; use one caption an item (test_mode=False)')
        video = self.embed_video(inputs['frames'], inputs.get('frame_mask'))
        text = self.embed_text(inputs['tokens'])
        losses = self.head.loss(text, video)
        require_finite(losses, text, video, data_samples)
        return losses

    def _add_embeddings(self, data_samples: list, video: Optional[Tensor], text: Optional[Tensor],
                        captions_per_video: Optional[list[int]]) -> list:
        if video is not None:
            for sample, embedding in zip(data_samples, self.head.flatten(video)):
                sample.video_embedding = embedding
        if hasattr(self.head, 'logit_scale'):  # the temperature of dual softmax
            scale = float(self.head.logit_scale.exp())
            for sample in data_samples:
                sample.set_metainfo(dict(logit_scale=scale))
        if text is not None:
            counts = captions_per_video or [1] * len(text)
            for sample, own in zip(data_samples, self.head.flatten(text).split(counts)):
                sample.text_embeddings = own
        return data_samples
