"""CLIP2Video's temporal difference block (TDB), and the plainer necks beside it.

Section 3.2 of arXiv 2106.11097. B videos, T frames, D embedding width.
"""
from collections.abc import Mapping
from typing import Optional

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmc2v.registry import MODELS
from mmc2v.structures import VideoTokens

from ..parts import Part, build_part
from .frame_tokens import DifferenceTokens, FrameTokens
from .transformer import MaskedTransformer


@MODELS.register_module()
class MeanPooling(BaseModule):
    """Neck that leaves frames as they are: CLIP4Clip's parameter-free baseline."""

    local_branch = None

    def forward(self, frames: Tensor, mask: Tensor) -> VideoTokens:
        """Pass (B, T, D) frame embeddings on as both kinds of tokens."""
        return VideoTokens(frames, mask, frames, mask)


@MODELS.register_module()
class TemporalTransformer(BaseModule):
    """Neck that mixes frames by a transformer with positions: CLIP4Clip's seqTransf.

    Args:
        embed_dim (int): Width D.
        num_layers (int): Transformer blocks. Defaults to 4.
        max_frames (int): Number of positions. Defaults to 77, CLIP's text positions.
        num_heads (int, optional): Attention heads. Defaults to D / 64, at least 1.
        local_branch (dict | nn.Module, optional): What is appended to the raw frames for the
            alignment block. Defaults to nothing.
        init_from_text (bool): Start positions, types and all temporal transformers from CLIP's
            text tower, as the authors do. False leaves them random, for towers whose text blocks
            are of another width. Defaults to True.
        position_std (float, optional): Standard deviation of positions, which then are random and
            do not start from CLIP. Defaults to the authors': 0.01, and CLIP's in their place.

    Raises:
        ValueError: If the local branch reads tokens that this neck does not make.
    """

    makes: tuple[type, ...] = (FrameTokens,)  # kinds of tokens; the last is what the neck mixes

    def __init__(self, embed_dim: int, num_layers: int = 4, max_frames: int = 77,
                 num_heads: Optional[int] = None, local_branch: Optional[Part] = None,
                 init_from_text: bool = True, position_std: Optional[float] = None,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg)
        self.embed_dim = embed_dim
        self.init_from_text = init_from_text
        self.position_std = position_std
        self.position_embedding = nn.Embedding(max_frames, embed_dim)
        nn.init.normal_(self.position_embedding.weight,
                        std=0.01 if position_std is None else position_std)
        self.transformer = MaskedTransformer(embed_dim, num_layers, num_heads, init_from_text)
        self.local_branch = local_branch and build_part(
            local_branch, embed_dim=embed_dim, num_heads=num_heads, init_from_text=init_from_text)
        self.token_makers = {FrameTokens: FrameTokens(self.position_embedding)}
        if self.local_branch is not None and self.local_branch.reads not in self.makes:
            raise ValueError(
                f'{type(self.local_branch).__name__} reads difference tokens, which '
                f'{type(self).__name__} has not; use TemporalDifferenceBlock or FrameLocalBranch')

    def init_from_clip(self, clip: Mapping[str, Tensor]) -> set[str]:
        """Start positions from CLIP's text positions; the transformer starts by itself.

        Raises:
            ValueError: If CLIP has fewer positions or another width.
        """
        if self.position_std is not None:
            return set()
        positions = clip['positional_embedding']
        expected = tuple(self.position_embedding.weight.shape)
        if positions.shape[1] != expected[1] or positions.shape[0] < expected[0]:
            raise ValueError(
                f"frame positions {expected} start from CLIP's text positions "
                f'{tuple(positions.shape)}: set max_frames to at most {positions.shape[0]} and '
                f'embed_dim to {positions.shape[1]}, or init_from_text=False for a random start')
        self.position_embedding.weight.data.copy_(positions[:expected[0]])
        return {'position_embedding.weight'}

    def forward(self, frames: Tensor, mask: Tensor) -> VideoTokens:
        """Mix frames and append the local branch.

        Args:
            frames (Tensor): (B, T, D) frame embeddings.
            mask (Tensor): (B, T) bool, True = valid.

        Returns:
            VideoTokens: Mixed frames, and raw frames followed by the local branch's tokens.

        Raises:
            ValueError: If the frames have another width than the neck.
        """
        if frames.shape[-1] != self.embed_dim:
            raise ValueError(f'{type(self).__name__} has embed_dim={self.embed_dim}, but the '
                             f'backbone gives frames of width {frames.shape[-1]}')
        mixed = self.transformer.mix(frames, mask, self.token_makers[self.makes[-1]])
        if self.local_branch is None:
            return VideoTokens(mixed, mask, frames, mask)
        coarse, coarse_mask = self.local_branch(
            frames, mask, self.token_makers[self.local_branch.reads])
        return VideoTokens(mixed, mask, torch.cat([frames, coarse], dim=1),
                           torch.cat([mask, coarse_mask], dim=1))


@MODELS.register_module()
class TemporalDifferenceBlock(TemporalTransformer):
    """Neck that puts difference tokens between frames and mixes both over time (TDB).

    Args:
        embed_dim (int): Width D.
        difference_encoder (dict | nn.Module): Makes tokens of frame differences. Defaults to
            :class:`AttentionDifference`.
        num_heads (int, optional): Attention heads, also of the parts. Defaults to D / 64.
        init_from_text (bool): See :class:`TemporalTransformer`.
        **kwargs: Likewise.
    """

    makes = (FrameTokens, DifferenceTokens)

    def __init__(self, embed_dim: int, difference_encoder: Optional[Part] = None,
                 num_heads: Optional[int] = None, init_from_text: bool = True, **kwargs) -> None:
        super().__init__(embed_dim, num_heads=num_heads, init_from_text=init_from_text, **kwargs)
        self.type_embedding = nn.Embedding(2, embed_dim)  # row 0: difference, row 1: frame
        nn.init.normal_(self.type_embedding.weight, std=0.01)
        self.difference_encoder = build_part(
            difference_encoder or dict(type='mmc2v.AttentionDifference'), embed_dim=embed_dim,
            num_heads=num_heads, init_from_text=init_from_text)
        self.token_makers[DifferenceTokens] = DifferenceTokens(
            self.position_embedding, self.type_embedding, self.difference_encoder)

    def init_from_clip(self, clip: Mapping[str, Tensor]) -> set[str]:
        """Also start the two types from CLIP's first two text positions."""
        names = super().init_from_clip(clip)
        self.type_embedding.weight.data.copy_(clip['positional_embedding'][:2])
        return names | {'type_embedding.weight'}

    def forward(self, frames: Tensor, mask: Tensor) -> VideoTokens:
        """Mix frames and differences over time; see :meth:`TemporalTransformer.forward`.

        Raises:
            ValueError: In training on single frames, where the difference encoder would get no
                gradient.
        """
        if self.training and frames.shape[1] == 1:
            raise ValueError('TemporalDifferenceBlock cannot train on single frames (T = 1): '
                             'there are no differences. Sample more frames or use MeanPooling')
        return super().forward(frames, mask)
