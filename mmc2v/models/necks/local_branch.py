"""Coarse branches that widen the alignment block's view of a video.

Section 3.3 of arXiv 2106.11097. B videos, T frames, D embedding width; every second frame is
taken, so ceil(T/2) tokens are appended.
"""
from typing import Optional

from mmengine.model import BaseModule
from torch import Tensor, nn

from mmc2v.registry import MODELS

from .transformer import MaskedTransformer


class _LocalBranch(BaseModule):
    """The transformer that all local branches share.

    Args:
        embed_dim (int): Width D.
        num_layers (int): Transformer blocks. Defaults to 1.
        num_heads (int, optional): Attention heads. Defaults to D / 64, at least 1.
    """

    needs_differences = False

    def __init__(self, embed_dim: int, num_layers: int = 1, num_heads: Optional[int] = None,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg)
        self.transformer = MaskedTransformer(embed_dim, num_layers, num_heads)


@MODELS.register_module()
class FrameLocalBranch(_LocalBranch):
    """Mixes every second frame, with positions that count from 0, by its own transformer."""

    def forward(self, frames: Tensor, mask: Tensor, neck: nn.Module) -> tuple[Tensor, Tensor]:
        """Make the tokens that are appended to the raw frames.

        Args:
            frames (Tensor): (B, T, D) raw frame embeddings.
            mask (Tensor): (B, T) bool, True = valid.
            neck (nn.Module): The neck, whose positions are shared.

        Returns:
            tuple[Tensor, Tensor]: (B, ceil(T/2), D) tokens, (B, ceil(T/2)) their mask.
        """
        coarse, coarse_mask = frames[:, ::2], mask[:, ::2]
        tokens = coarse + neck.positions(coarse.shape[1])
        return self.transformer(tokens, coarse_mask) + coarse, coarse_mask


@MODELS.register_module()
class DifferenceLocalBranch(_LocalBranch):
    """Mixes every second frame and the differences between those, by its own transformer.

    The difference encoder, the positions and the types are the neck's.
    """

    needs_differences = True

    def forward(self, frames: Tensor, mask: Tensor, neck: nn.Module) -> tuple[Tensor, Tensor]:
        """Make the tokens that are appended to the raw frames.

        Args:
            frames (Tensor): (B, T, D) raw frame embeddings.
            mask (Tensor): (B, T) bool, True = valid.
            neck (nn.Module): The :class:`TemporalDifferenceBlock`, whose tokens are shared.

        Returns:
            tuple[Tensor, Tensor]: (B, ceil(T/2), D) tokens, (B, ceil(T/2)) their mask.
        """
        coarse, coarse_mask = frames[:, ::2], mask[:, ::2]
        tokens, token_mask = neck.embed_interleaved(coarse, coarse_mask)
        return self.transformer(tokens, token_mask)[:, ::2] + coarse, coarse_mask
