"""Coarse branches that widen the alignment block's view of a video.

Section 3.3 of arXiv 2106.11097. B videos, T frames, D embedding width; every second frame is
taken, so ceil(T/2) tokens are appended.
"""
from typing import Optional

from mmengine.model import BaseModule
from torch import Tensor

from mmc2v.registry import MODELS

from .frame_tokens import DifferenceTokens, FrameTokens
from .transformer import MaskedTransformer


@MODELS.register_module()
class FrameLocalBranch(BaseModule):
    """Mixes every second frame, with positions that count from 0, by its own transformer.

    Args:
        embed_dim (int): Width D.
        num_layers (int): Transformer blocks. Defaults to 1.
        num_heads (int, optional): Attention heads. Defaults to D / 64, at least 1.
        init_from_text (bool): Start from CLIP's text blocks. Defaults to True.

    Attributes:
        reads (type): Of the tokens that the neck makes for it.
    """

    reads = FrameTokens

    def __init__(self, embed_dim: int, num_layers: int = 1, num_heads: Optional[int] = None,
                 init_from_text: bool = True, init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg)
        self.transformer = MaskedTransformer(embed_dim, num_layers, num_heads, init_from_text)

    def forward(self, frames: Tensor, mask: Tensor,
                make_tokens: FrameTokens) -> tuple[Tensor, Tensor]:
        """Make the tokens that are appended to the raw frames.

        Args:
            frames (Tensor): (B, T, D) raw frame embeddings.
            mask (Tensor): (B, T) bool, True = valid.
            make_tokens (FrameTokens): The neck's, whose positions are shared.

        Returns:
            tuple[Tensor, Tensor]: (B, ceil(T/2), D) tokens, (B, ceil(T/2)) their mask.
        """
        coarse, coarse_mask = frames[:, ::2], mask[:, ::2]
        return self.transformer.mix(coarse, coarse_mask, make_tokens), coarse_mask


@MODELS.register_module()
class DifferenceLocalBranch(FrameLocalBranch):
    """Mixes every second frame and the differences between those, by its own transformer.

    The difference encoder, the positions and the types are the neck's.
    """

    reads = DifferenceTokens
