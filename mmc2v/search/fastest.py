"""Which program encodes frames while an index is made: the fastest one on this machine.

N images, D width of tokens.
"""
from __future__ import annotations

import time
from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
import torch
from torch import Tensor, nn

from mmc2v.export.frame_tower import FrameGraph, OpenVINOFrameTower
from mmc2v.first_line import first_line_of

# Images of the trial, rounds of it, and the least cosine with torch in float32.
_IMAGES, _ROUNDS, LEAST_COSINE = 8, 3, 0.9995
# Frames that are encoded of a byte of video, about: 1.2 a second, of 0.5 MB.
_FRAMES_A_BYTE = 2.4e-6
# Seconds that torch would encode from which on a trial pays: to make a graph takes 10 to 60 s.
WORTH = 240.0
# Seconds that a frame takes at most, about: where even that would not pay, nothing is measured.
_SLOWEST = 2.0


def hasten(model: nn.Module, exact: Callable[[], nn.Module], size: tuple[int, int],
           precision: str, bytes_to_read: int) -> str:
    """Let the fastest program encode frames, if so many come that to find out pays.

    OpenVINO takes the place of torch where it is installed, is faster, and its tokens are as close
    to torch's in float32 as is wanted.

    Args:
        model (nn.Module): A :class:`~mmc2v.models.clip2video.CLIP2Video` in evaluation mode; its
            tower of frames may be changed for another.
        exact (Callable): Returns the same model in float32, on the CPU.
        size (tuple[int, int]): H, W of frames.
        precision (str): Of the model, 'float32' or 'bfloat16'.
        bytes_to_read (int): Of all videos.

    Returns:
        str: What was found, for people; empty where nothing was tried.
    """
    tower = model.backbone
    if not getattr(tower, 'sees_frames_alone', False) or find_spec('openvino') is None or next(
            model.parameters()).device.type != 'cpu':
        return ''
    if bytes_to_read * _FRAMES_A_BYTE * _SLOWEST < WORTH:
        return ''
    images = _images(model, size)
    seconds = _fastest_of({'torch': tower}, images)['torch'] / _IMAGES
    if bytes_to_read * _FRAMES_A_BYTE * seconds < WORTH:
        return ''
    reference = exact().backbone
    expected = _tokens(reference, images)
    try:
        other = OpenVINOFrameTower(reference, size, precision)
        cosine = _least_cosine(_tokens(other, images), expected)
    except Exception as error:  # of torch and OpenVINO, of many classes
        return f'frames are encoded by torch: OpenVINO cannot ({first_line_of(error)})'
    times = _fastest_of({'torch': tower, 'OpenVINO': other}, images)
    ratio = times['torch'] / times['OpenVINO']
    found = (f'OpenVINO in {precision} is {ratio:.1f} times as fast as torch here, least cosine '
             f'with float32 {cosine:.5f}')
    if ratio <= 1 or cosine < LEAST_COSINE:
        return f'frames are encoded by torch: {found}'
    model.backbone = other
    return f'frames are encoded by OpenVINO: {found}'


def _images(model: nn.Module, size: tuple[int, int]) -> Tensor:
    """Return (N, 3, H, W) normalised images with coarse and fine structure."""
    generator = torch.Generator().manual_seed(0)
    coarse = nn.functional.interpolate(torch.rand(_IMAGES, 3, 5, 5, generator=generator), size,
                                       mode='bicubic')
    fine = torch.rand(_IMAGES, 3, *size, generator=generator)
    pixels = (255 * (0.8 * coarse + 0.2 * fine)).clamp(0, 255).to(torch.uint8)
    ready = model.data_preprocessor(dict(inputs=dict(
        frames=list(pixels[:, None]), frame_mask=list(torch.ones(_IMAGES, 1, dtype=torch.bool)))))
    return ready['inputs']['frames'][:, 0]


@torch.inference_mode()
def _tokens(tower: nn.Module, images: Tensor) -> Tensor:
    """Return (N, D) tokens of images."""
    return FrameGraph(tower)(images).float()


def _least_cosine(one: Tensor, other: Tensor) -> float:
    return torch.cosine_similarity(one, other, dim=1).min().item()


def _fastest_of(towers: dict[str, nn.Module], images: Tensor) -> dict[str, float]:
    """Return the least seconds of each tower over some rounds, in turns; the first warms up."""
    times: dict[str, list[float]] = {name: [] for name in towers}
    for _ in range(_ROUNDS + 1):
        for name, tower in towers.items():
            start = time.perf_counter()
            _tokens(tower, images)
            times[name].append(time.perf_counter() - start)
    return {name: float(np.min(found[1:])) for name, found in times.items()}
