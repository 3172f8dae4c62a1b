"""The tower of frames, run by OpenVINO in the place of torch.

N images, B videos, T frames, D width of tokens.
"""
from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import Dim

from .graphs import exported_program
from .runtime import import_openvino, openvino_options


class FrameGraph(nn.Module):
    """A tower that sees each frame alone, for images.

    Args:
        backbone (nn.Module): Such as :class:`~mmc2v.models.towers.clip.CLIPVisionTower`.
    """

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> Tensor:
        """Return (N, D) tokens of (N, 3, H, W) normalised images."""
        mask = torch.ones(images.shape[0], 1, dtype=torch.bool, device=images.device)
        return self.backbone(images[:, None], mask)[0][:, 0]


class OpenVINOFrameTower(nn.Module):
    """Does what a tower that sees each frame alone does, for inference on a CPU.

    Args:
        backbone (nn.Module): The tower, in float32.
        size (tuple[int, int]): H, W of frames.
        precision (str): 'float32' or 'bfloat16', in which it calculates.

    Raises:
        ImportError: If OpenVINO is not installed.
        Exception: Of torch or OpenVINO, of many classes, if no graph can be made of it.
    """

    sees_frames_alone = True

    def __init__(self, backbone: nn.Module, size: tuple[int, int], precision: str) -> None:
        super().__init__()
        self._dtype = torch.bfloat16 if precision == 'bfloat16' else torch.float32
        self._run = _compiled(FrameGraph(backbone).eval(), size, precision)

    def forward(self, frames: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return (B, T, D) tokens of (B, T, 3, H, W) frames, and their (B, T) mask."""
        tokens = torch.from_numpy(self._run(frames.flatten(0, 1).float().contiguous().numpy()))
        return tokens.to(self._dtype).unflatten(0, mask.shape), mask


def _compiled(graph: nn.Module, size: tuple[int, int],
              precision: str) -> Callable[[np.ndarray], np.ndarray]:
    openvino = import_openvino()
    program = exported_program(graph, dict(images=torch.zeros(3, 3, *size)),
                               dict(images={0: Dim('batch', min=1, max=2 ** 16)}))
    options = openvino_options(precision, torch.get_num_threads())
    # processes that decode run beside it, on the same cores
    options['ENABLE_CPU_PINNING'] = False
    model = openvino.compile_model(openvino.convert_model(program), 'CPU', options)
    return lambda images: model([images])[0].copy()
