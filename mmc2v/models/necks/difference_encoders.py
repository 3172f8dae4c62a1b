"""Difference encoders of the temporal difference block.

Section 3.2 of arXiv 2106.11097. B videos, T frames, D embedding width.
"""
from collections.abc import Mapping
from typing import Optional

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmc2v.registry import MODELS

from .transformer import MaskedTransformer


@MODELS.register_module()
class IdentityDifference(BaseModule):
    """Difference tokens are the differences of frame embeddings as they are.

    Args:
        embed_dim (int): Width D; like the others not used, but every encoder is built alike.
        num_heads (int, optional): Not used.
        init_from_text (bool): Not used.
    """

    def __init__(self, embed_dim: int, num_heads: Optional[int] = None, init_from_text: bool = True,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg)

    def forward(self, differences: Tensor, positions: Tensor, mask: Tensor) -> Tensor:
        """Return the (B, T-1, D) differences unchanged."""
        return differences


@MODELS.register_module()
class MLPDifference(BaseModule):
    """Difference tokens by a linear map: ``2 * sigmoid(LayerNorm(d W)) - 1``.

    Args:
        embed_dim (int): Width D.
        num_heads (int, optional): Not used, but every encoder is built alike.
        init_from_text (bool): Start from CLIP's image projection. Defaults to True.
    """

    def __init__(self, embed_dim: int, num_heads: Optional[int] = None, init_from_text: bool = True,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg)
        self.init_from_text = init_from_text
        self.projection = nn.Parameter(torch.randn(embed_dim, embed_dim) * embed_dim ** -0.5)
        self.norm = nn.LayerNorm(embed_dim)

    def init_from_clip(self, clip: Mapping[str, Tensor]) -> set[str]:
        """Start from the first D rows of CLIP's image projection.

        Raises:
            ValueError: If the image tower has no such projection.
        """
        if 'visual.proj' not in clip:
            raise ValueError("MLPDifference starts from the projection of CLIP's own vision "
                             'transformer, which this model has not: set init_from_text=False in '
                             'the neck for a random start')
        self.projection.data.copy_(clip['visual.proj'][:self.projection.shape[0]])
        return {'projection', 'norm.weight', 'norm.bias'}

    def forward(self, differences: Tensor, positions: Tensor, mask: Tensor) -> Tensor:
        """Encode (B, T-1, D) differences; positions and mask are not used."""
        return 2 * torch.sigmoid(self.norm(differences @ self.projection)) - 1


@MODELS.register_module()
class AttentionDifference(BaseModule):
    """Difference tokens by self-attention among the differences of a video.

    ``2 * sigmoid(LayerNorm(transformer(d + p))) - 1`` (equation 3).

    Args:
        embed_dim (int): Width D.
        num_layers (int): Transformer blocks. Defaults to 1.
        num_heads (int, optional): Attention heads. Defaults to D / 64, at least 1.
        init_from_text (bool): Start from CLIP's text blocks. Defaults to True.
    """

    def __init__(self, embed_dim: int, num_layers: int = 1, num_heads: Optional[int] = None,
                 init_from_text: bool = True, init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg)
        self.transformer = MaskedTransformer(embed_dim, num_layers, num_heads, init_from_text)
        self.norm = nn.LayerNorm(embed_dim)

    def init_from_clip(self, clip: Mapping[str, Tensor]) -> set[str]:
        """Leave the norm at the identity; the transformer starts by itself."""
        return {'norm.weight', 'norm.bias'}

    def forward(self, differences: Tensor, positions: Tensor, mask: Tensor) -> Tensor:
        """Encode differences.

        Args:
            differences (Tensor): (B, T-1, D), frame i+1 minus frame i.
            positions (Tensor): (T-1, D), position of frame i+1.
            mask (Tensor): (B, T-1) bool, True = valid.

        Returns:
            Tensor: (B, T-1, D), in (-1, 1).
        """
        mixed = self.transformer(differences + positions, mask)
        return 2 * torch.sigmoid(self.norm(mixed)) - 1
