"""Compares videos and captions.

B videos, N captions, K kinds of embedding (global, and aligned where there is an alignment
block), D embedding width.
"""
import functools
import math
from collections.abc import Callable, Mapping
from typing import Optional

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from mmc2v.registry import MODELS
from mmc2v.structures import TextTokens, VideoTokens

from ..parts import Part, build_part
from .contrastive import gather_pairs, symmetric_cross_entropy


def _full(tensor: Tensor) -> Tensor:
    """Return half precision as float32 and everything else as it is."""
    return tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor


def _without_autocast(method: Callable) -> Callable:
    """Run a method of the head on float32 inputs with autocast disabled.

    Casting the inputs alone would not do: under autocast ``@`` and einsum return half precision
    again.
    """
    @functools.wraps(method)
    def wrapped(self, *args):
        args = [type(a)(*map(_full, a)) if isinstance(a, tuple) else _full(a) for a in args]
        device = self.logit_scale.device.type
        if device == 'meta':  # which has no autocast
            return method(self, *args)
        with torch.autocast(device, enabled=False):
            return method(self, *args)
    return wrapped


@MODELS.register_module()
class RetrievalHead(BaseModule):
    """Makes unit embeddings of tokens, and scores and trains them.

    The score of a text and a video is ``w <g_t, g_v> + (1 - w) <a_t, a_v>``; scaled by
    ``sqrt(w)`` and ``sqrt(1 - w)`` the two embeddings of an item are one unit vector, and the
    score is one inner product.

    Args:
        embed_dim (int): Width D.
        alignment (dict | nn.Module, optional): Alignment block for the second embedding. Without
            it there is the global one alone.
        global_weight (float): w in [0, 1]. Defaults to 0.5. Not used without alignment.
        logit_scale (float): Initial scale of logits in log space; CLIP weights replace it.
            Defaults to ln(1 / 0.07).
        max_logit_scale (float): Upper bound in log space. Defaults to ln(100).

    Raises:
        ValueError: If w is outside [0, 1].
    """

    def __init__(self, embed_dim: int, alignment: Optional[Part] = None,
                 global_weight: float = 0.5, logit_scale: float = math.log(1 / 0.07),
                 max_logit_scale: float = math.log(100), init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg)
        if not 0 <= global_weight <= 1:
            raise ValueError(f'global_weight must lie in [0, 1], got {global_weight}')
        self.embed_dim = embed_dim
        self.alignment = alignment and build_part(alignment, embed_dim=embed_dim)
        self.logit_scale = nn.Parameter(torch.tensor(float(logit_scale)))
        self.max_logit_scale = max_logit_scale
        self.global_weight = global_weight

    @property
    def weights(self) -> list[float]:
        """Weights of the K kinds of embedding in the score; they sum to 1."""
        if self.alignment is None:
            return [1.0]
        return [self.global_weight, 1 - self.global_weight]

    @property
    def kinds(self) -> list[str]:
        """Names of the K kinds of embedding."""
        return ['global', 'aligned'][:len(self.weights)]

    def init_from_clip(self, clip: Mapping[str, Tensor]) -> set[str]:
        """Start logit_scale from CLIP's."""
        self.logit_scale.data.copy_(clip['logit_scale'].reshape(()))
        return {'logit_scale'}

    @_without_autocast
    def embed_video(self, tokens: VideoTokens) -> Tensor:
        """Return (B, K, D) unit vectors of videos.

        Raises:
            ValueError: If the tokens have another width than D.
        """
        frames = F.normalize(tokens.frames, dim=-1)
        frames = frames.masked_fill(~tokens.frame_mask[..., None], 0.0)
        mean = frames.sum(dim=1) / tokens.frame_mask.sum(dim=1, keepdim=True)
        return self._with_aligned(mean, tokens.local, tokens.local_mask)

    @_without_autocast
    def embed_text(self, tokens: TextTokens) -> Tensor:
        """Return (N, K, D) unit vectors of captions.

        Raises:
            ValueError: If the tokens have another width than D.
        """
        return self._with_aligned(tokens.sentence, tokens.words, tokens.word_mask)

    def _with_aligned(self, whole: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        if whole.shape[-1] != self.embed_dim:
            raise ValueError(f"{type(self).__name__} has embed_dim={self.embed_dim}, but got "
                             f'tokens of width {whole.shape[-1]}: towers and neck must give the '
                             "head's width")
        embeddings = [F.normalize(whole, dim=-1)]
        if self.alignment is not None:
            embeddings.append(self.alignment(tokens, mask))
        return torch.stack(embeddings, dim=1)

    def flatten(self, embeddings: Tensor) -> Tensor:
        """Join (B, K, D) unit vectors into (B, K * D) unit vectors whose product is the score."""
        scales = embeddings.new_tensor([weight ** 0.5 for weight in self.weights])
        return (embeddings * scales[:, None]).flatten(1)

    @_without_autocast
    def logits(self, text: Tensor, video: Tensor) -> Tensor:
        """Score every caption against every video, per kind of embedding.

        Args:
            text (Tensor): (N, K, D).
            video (Tensor): (B, K, D).

        Returns:
            Tensor: (K, N, B), not yet weighted, times exp(logit_scale).
        """
        return self.logit_scale.exp() * torch.einsum('nkd,bkd->knb', text, video)

    @_without_autocast
    def loss(self, text: Tensor, video: Tensor) -> dict[str, Tensor]:
        """Contrast the pairs of all ranks.

        Args:
            text (Tensor): (B, K, D), row i belongs to video row i.
            video (Tensor): (B, K, D).

        Returns:
            dict[str, Tensor]: ``loss_<kind>``, weighted, whose sum is the training loss, and
            ``logit_scale`` for the log.
        """
        # In place and before use, so that the optimizer's value is the one in force and the scale
        # can come back from the bound.
        with torch.no_grad():
            self.logit_scale.clamp_(max=self.max_logit_scale)
        text, video = gather_pairs(text, video)
        losses = {f'loss_{kind}': weight * symmetric_cross_entropy(logits)
                  for kind, weight, logits in zip(self.kinds, self.weights,
                                                  self.logits(text, video))}
        return dict(losses, logit_scale=self.logit_scale.detach().exp())

    def predict(self, data_samples: list, video: Optional[Tensor], text: Optional[Tensor],
                captions_per_video: Optional[list[int]] = None) -> list:
        """Add embeddings to data samples.

        Args:
            data_samples (list): B of them.
            video (Tensor, optional): (B, K, D).
            text (Tensor, optional): (N, K, D).
            captions_per_video (list[int], optional): B numbers whose sum is N. Defaults to one.

        Returns:
            list: They, with ``video_embedding`` (K * D,), ``text_embeddings`` (n_i, K * D), and
            ``logit_scale``, the inverse temperature of dual softmax.
        """
        if video is not None:
            for sample, embedding in zip(data_samples, self.flatten(video)):
                sample.video_embedding = embedding
        if text is not None:
            counts = captions_per_video or [1] * len(text)
            for sample, embeddings in zip(data_samples, self.flatten(text).split(counts)):
                sample.text_embeddings = embeddings
        for sample in data_samples:
            sample.set_metainfo(dict(logit_scale=self.logit_scale.detach().exp()))
        return data_samples
