"""Extracted features in the place of frames.

B videos, T frames, C channels of features, D embedding width.
"""
from typing import Optional

from mmengine.model import BaseModule
from torch import Tensor, nn

from mmc2v.registry import MODELS


@MODELS.register_module()
class FeatureProjection(BaseModule):
    """Stands in the place of a video tower where frame features were extracted before.

    Args:
        in_channels (int): Channels C of the features.
        embed_dim (int): Width D of the retrieval model.
    """

    def __init__(self, in_channels: int, embed_dim: int, init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg)
        self.in_channels = in_channels
        self.embed_dim = embed_dim
        self.norm = nn.LayerNorm(in_channels)
        self.projection = nn.Linear(in_channels, embed_dim)

    def forward(self, features: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Project features.

        Args:
            features (Tensor): (B, T, C).
            mask (Tensor): (B, T) bool, True = valid.

        Returns:
            tuple[Tensor, Tensor]: (B, T, D) tokens; the mask.

        Raises:
            ValueError: If they have another width.
        """
        if features.shape[-1] != self.in_channels:
            raise ValueError(f'the features have {features.shape[-1]} channels, in_channels is '
                             f'{self.in_channels}')
        return self.projection(self.norm(features)), mask
