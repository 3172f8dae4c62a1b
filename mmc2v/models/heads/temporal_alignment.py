"""CLIP2Video's temporal alignment block (TAB).

Section 3.3 of arXiv 2106.11097. B items, S tokens, D embedding width, K centres.
"""
from typing import Optional

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from mmc2v.registry import MODELS


@MODELS.register_module()
class TemporalAlignmentBlock(BaseModule):
    """Describes a set of tokens by its residuals to K centres that video and text share.

    Args:
        embed_dim (int): Width D.
        num_centers (int): Centres K. Defaults to 5 (the paper's MSR-VTT and MSVD; 7 for VATEX).

    Raises:
        ValueError: If there is no centre.
    """

    def __init__(self, embed_dim: int, num_centers: int = 5,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg)
        if num_centers < 1:
            raise ValueError(f'num_centers must be at least 1, got {num_centers}')
        self.weight_center = nn.Parameter(torch.randn(num_centers, embed_dim) / 8)
        self.emb_center = nn.Parameter(torch.randn(num_centers, embed_dim) / 8)

    def assign(self, tokens: Tensor) -> Tensor:
        """Return the (B, S, K) share of each token that goes to each centre; sums to 1 over K."""
        return (tokens @ self.weight_center.T).softmax(dim=-1)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Aggregate tokens.

        Args:
            tokens (Tensor): (B, S, D).
            mask (Tensor): (B, S) bool, True = valid.

        Returns:
            Tensor: (B, D) unit vectors.
        """
        share = self.assign(tokens).masked_fill(~mask[..., None], 0.0)
        # sum_s share_sk (x_s - c_k), without a (B, S, K, D) tensor
        residuals = (torch.einsum('bsk,bsd->bkd', share, tokens)
                     - share.sum(dim=1)[..., None] * self.emb_center)
        return F.normalize(F.normalize(residuals, dim=-1).mean(dim=1), dim=-1)
