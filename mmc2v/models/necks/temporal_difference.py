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
    """

    has_differences = False  # whether there are difference tokens for a local branch to read

    def __init__(self, embed_dim: int, num_layers: int = 4, max_frames: int = 77,
                 num_heads: Optional[int] = None, local_branch: Optional[Part] = None,
                 init_from_text: bool = True, init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg)
        self.init_from_text = init_from_text
        self.embed_dim = embed_dim
        self.max_frames = max_frames
        self.position_embedding = nn.Embedding(max_frames, embed_dim)
        nn.init.normal_(self.position_embedding.weight, std=0.01)
        self.transformer = MaskedTransformer(embed_dim, num_layers, num_heads)
        self.local_branch = local_branch and build_part(
            local_branch, embed_dim=embed_dim, num_heads=num_heads)
        if getattr(self.local_branch, 'needs_differences', False) and not self.has_differences:
            raise ValueError(
                f'{type(self.local_branch).__name__} reads difference tokens, which '
                f'{type(self).__name__} has not; use TemporalDifferenceBlock or FrameLocalBranch')

    def init_from_clip(self, clip: Mapping[str, Tensor]) -> set[str]:
        """Start positions from CLIP's text positions; the transformer starts by itself.

        Args:
            clip (Mapping[str, Tensor]): CLIP's weights under OpenAI's keys.

        Returns:
            set[str]: Names of the parameters that were set, parts that do so themselves excluded.

        Raises:
            ValueError: If CLIP has fewer positions or another width.
        """
        self.tell_parts()
        if not self.init_from_text:
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

    def tell_parts(self) -> None:
        """Pass ``init_from_text`` on to the parts, which start by themselves."""
        for module in self.modules():
            if hasattr(module, 'init_from_text'):
                module.init_from_text = self.init_from_text

    def positions(self, num_frames: int) -> Tensor:
        """Return the (T, D) positions of frames 0 .. T-1.

        Raises:
            ValueError: If there are more frames than positions.
        """
        if num_frames > self.max_frames:
            raise ValueError(f'{num_frames} frames, but the neck has {self.max_frames} positions; '
                             'sample fewer frames or raise max_frames')
        return self.position_embedding.weight[:num_frames]

    def mix(self, frames: Tensor, mask: Tensor) -> Tensor:
        """Mix (B, T, D) frame embeddings over time; padding has no influence."""
        return self.transformer(frames + self.positions(frames.shape[1]), mask) + frames

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
        mixed = self.mix(frames, mask)
        if self.local_branch is None:
            return VideoTokens(mixed, mask, frames, mask)
        coarse, coarse_mask = self.local_branch(frames, mask, self)
        return VideoTokens(mixed, mask, torch.cat([frames, coarse], dim=1),
                           torch.cat([mask, coarse_mask], dim=1))


@MODELS.register_module()
class TemporalDifferenceBlock(TemporalTransformer):
    """Neck that puts difference tokens between frames and mixes both over time (TDB).

    A difference token is valid where both its frames are, so that padding has no influence; the
    published code lets the one at the end of a short clip see padding.

    Args:
        embed_dim (int): Width D.
        difference_encoder (dict | nn.Module): Makes tokens of frame differences. Defaults to
            :class:`AttentionDifference`.
        num_heads (int, optional): Attention heads, also of the parts. Defaults to D / 64.
        **kwargs: See :class:`TemporalTransformer`.
    """

    has_differences = True

    def __init__(self, embed_dim: int, difference_encoder: Optional[Part] = None,
                 num_heads: Optional[int] = None, **kwargs) -> None:
        super().__init__(embed_dim, num_heads=num_heads, **kwargs)
        self.type_embedding = nn.Embedding(2, embed_dim)  # row 0: difference, row 1: frame
        nn.init.normal_(self.type_embedding.weight, std=0.01)
        self.difference_encoder = build_part(
            difference_encoder or dict(type='mmc2v.AttentionDifference'), embed_dim=embed_dim,
            num_heads=num_heads)

    def init_from_clip(self, clip: Mapping[str, Tensor]) -> set[str]:
        """Also start the two types from CLIP's first two text positions."""
        names = super().init_from_clip(clip)
        if not self.init_from_text:
            return names
        self.type_embedding.weight.data.copy_(clip['positional_embedding'][:2])
        return names | {'type_embedding.weight'}

    def interleave(self, frames: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Put a difference token between any two neighbouring frames.

        Args:
            frames (Tensor): (B, T, D) frame embeddings.
            mask (Tensor): (B, T) bool, True = valid.

        Returns:
            tuple[Tensor, Tensor]: (B, 2T-1, D) frame, difference, frame, ...; (B, 2T-1) their mask.
        """
        num_frames = frames.shape[1]
        positions = self.positions(num_frames)
        if num_frames == 1:
            return frames, mask
        both_valid = mask[:, 1:] & mask[:, :-1]
        differences = self.difference_encoder(
            frames[:, 1:] - frames[:, :-1], positions[1:], both_valid)
        pairs = torch.stack([frames[:, :-1], differences.to(frames.dtype)], dim=2).flatten(1, 2)
        pair_mask = torch.stack([mask[:, :-1], both_valid], dim=2).flatten(1)
        return (torch.cat([pairs, frames[:, -1:]], dim=1),
                torch.cat([pair_mask, mask[:, -1:]], dim=1))

    def positions_and_types(self, num_frames: int) -> tuple[Tensor, Tensor]:
        """Return what is added to interleaved tokens: (2T-1, D) positions, (2T-1, D) types."""
        order = torch.arange(2 * num_frames - 1, device=self.type_embedding.weight.device)
        return self.positions(num_frames)[order // 2], self.type_embedding.weight[1 - order % 2]

    def embed_interleaved(self, frames: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Interleave and add positions and types, ready for a transformer."""
        tokens, token_mask = self.interleave(frames, mask)
        positions, types = self.positions_and_types(frames.shape[1])
        return tokens + positions + types, token_mask

    def mix(self, frames: Tensor, mask: Tensor) -> Tensor:
        """Mix frames and differences over time; return the (B, T, D) frame tokens.

        Raises:
            ValueError: In training on single frames, where the difference encoder would get no
                gradient.
        """
        if self.training and frames.shape[1] == 1:
            raise ValueError('TemporalDifferenceBlock cannot train on single frames (T = 1): '
                             'there are no differences. Sample more frames or use MeanPooling')
        return self.transformer(*self.embed_interleaved(frames, mask))[:, ::2] + frames
