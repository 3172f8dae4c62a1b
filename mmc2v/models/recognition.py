"""Our parts in MMAction2's recognizers.

N videos (times views), T frames, D embedding width.
"""
from collections.abc import Sequence
from typing import Any, Optional, Union

import torch
from mmengine.model import BaseModule
from torch import Tensor
from torch.nn import functional as F

from mmc2v.registry import MODELS

from .clip.initialise import initialise
from .contracts import require_video_tokens
from .parts import Part, build_part


@MODELS.register_module()
class RecognizerBackbone(BaseModule):
    """A CLIP image tower as the backbone of MMAction2's Recognizer2D.

    Args:
        tower (dict | nn.Module): Such as ``dict(type='mmc2v.CLIPVisionTower', arch=...)``. The
            tower of a retrieval checkpoint loads by its ``init_cfg=dict(type='Pretrained',
            checkpoint=..., prefix='backbone.')``.
        pretrained (str, optional): CLIP weights to start from, see
            :func:`~mmc2v.models.clip.weights.read_clip_weights`; a checkpoint in the tower's
            ``init_cfg`` has precedence. Defaults to none.
    """

    def __init__(self, tower: Part, pretrained: Optional[str] = None,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg)
        self.tower = build_part(tower)
        self.pretrained = pretrained

    def init_weights(self) -> None:
        """Start from ``pretrained`` where it is given."""
        initialise(self, self.pretrained)

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """Embed (N * T, 3, H, W) images as one map of (N * T, D, 1, 1)."""
        frames = images[:, None]  # each a video of its own
        tokens, _ = self.tower(frames, frames.new_ones(frames.shape[:2], dtype=torch.bool))
        return (tokens.squeeze(1)[..., None, None],)


@MODELS.register_module()
class RecognizerNeck(BaseModule):
    """A temporal neck, such as TDB, as the neck of MMAction2's Recognizer2D.

    Frame tokens are mixed over time, normalised and averaged, as for retrieval.

    Args:
        neck (dict | nn.Module): Such as ``dict(type='mmc2v.TemporalDifferenceBlock', ...)``,
            without a local branch.
        num_frames (int, optional): Frames T of one view, where several views of a video are
            tested (crops, or several clips). Defaults to all that there are.
        pretrained (str, optional): CLIP weights to start from. Defaults to none.
        arch (str | dict, optional): The architecture that those are of.

    Raises:
        ValueError: If the neck has a local branch, whose parameters would get no gradient.
    """

    def __init__(self, neck: Part, num_frames: Optional[int] = None,
                 pretrained: Optional[str] = None, arch: Union[str, dict, None] = None,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg)
        self.neck = build_part(neck)
        if getattr(self.neck, 'local_branch', None) is not None:
            raise ValueError('a recognizer reads the frame tokens alone: remove local_branch from '
                             'the neck, its parameters would get no gradient')
        self.num_frames = num_frames
        self.pretrained = pretrained
        self.arch = arch

    def init_weights(self) -> None:
        """Start from ``pretrained`` where it is given."""
        initialise(self, self.pretrained)

    def forward(self, maps: Sequence[Tensor],
                data_samples: Optional[list] = None) -> tuple[Tensor, dict[str, Any]]:
        """Mix and average frames.

        Args:
            maps (Sequence[Tensor]): One element, (N, D, T, 1, 1).
            data_samples (list, optional): Not used.

        Returns:
            tuple[Tensor, dict]: (N, D, 1, 1, 1), and no losses. With several views N grows by
            their number, which MMAction2's heads average.

        Raises:
            ValueError: If T is not a multiple of ``num_frames``, or the neck returns something
                else than :class:`~mmc2v.structures.VideoTokens`.
        """
        frames = maps[0].flatten(2).transpose(1, 2)  # (N, T, D)
        num_frames = self.num_frames or frames.shape[1]
        if frames.shape[1] % num_frames:
            raise ValueError(f'{frames.shape[1]} frames are no multiple of num_frames='
                             f'{num_frames}: set it to the num_clips of the sampling')
        frames = frames.reshape(-1, num_frames, frames.shape[2])
        mask = frames.new_ones(frames.shape[:2]).bool()
        tokens = require_video_tokens(self.neck, self.neck(frames, mask), len(frames))
        mixed = F.normalize(tokens.frames, dim=-1).mean(dim=1)
        return mixed[:, :, None, None, None], {}
