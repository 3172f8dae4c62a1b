"""The published frame sampling, on a video's own timestamps.

F frames of the 5 fps grid, T frames the model takes.
"""
from typing import Optional

import numpy as np
from mmcv.transforms import BaseTransform

from mmc2v.registry import TRANSFORMS


def choose_grid_frames(num_grid_frames: int, num_frames: int, divisor: int = 1,
                       rng: Optional[np.random.Generator] = None) -> np.ndarray:
    """Choose frames of the grid as the published code chooses extracted frames.

    Args:
        num_grid_frames (int): F, at least 1.
        num_frames (int): T, the most that are taken.
        divisor (int): s; the grid is thinned to F // s frames first. Defaults to 1.
        rng (np.random.Generator, optional): Jitters the inner T - 2 frames by up to half the gap
            between two, where that is more than 2. Defaults to none: no jitter.

    Returns:
        np.ndarray: Ascending grid indices, T or fewer, int64.
    """
    thinned = np.linspace(0, num_grid_frames - 1, max(1, num_grid_frames // divisor), dtype=int)
    if len(thinned) <= num_frames:
        return thinned
    chosen = np.linspace(0, len(thinned) - 1, num_frames, dtype=int)
    if rng is not None and num_frames > 2:
        half_gap = (chosen[1] - chosen[0]) // 2
        if half_gap > 2:
            chosen[1:-1] += rng.integers(-half_gap, half_gap, num_frames - 2)
    return thinned[chosen]


def grid_to_frames(times: np.ndarray, duration: float, fps: float = 5.0) -> np.ndarray:
    """Find the frame that is shown at each instant of a regular grid.

    This is what extracting at that rate writes to files, without the files.

    Args:
        times (np.ndarray): Seconds at which frames are first shown, from 0, ascending.
        duration (float): Seconds from the first frame to the end of the last.
        fps (float): Grid instants a second. Defaults to 5.

    Returns:
        np.ndarray: (F,) frame indices, F = round(duration * fps), at least 1.
    """
    instants = np.arange(max(1, round(duration * fps))) / fps
    # Decoders give times as float32. The allowance stays far below the 0.2 ms by which the frames
    # of 29.97 fps miss the instants.
    allowance = 1e-5 + 2e-7 * instants
    return np.searchsorted(times, instants + allowance, side='right') - 1


@TRANSFORMS.register_module()
class SampleGridFrames(BaseTransform):
    """Samples frames as the published code does.

    Required keys: frame_times, duration; rng for jitter. Added keys: frame_inds, clip_len (T),
    num_clips, frame_interval. Fewer than T indices are padded when packed, unless ``fill``.

    Args:
        num_frames (int): T. Defaults to 12.
        divisor (int): Thinning of the grid: 2 for MSR-VTT, 1 for MSVD and VATEX. Defaults to 1.
        fps (float): Rate of the grid. Defaults to 5.
        jitter (bool): Jitter the inner frames; for training. Defaults to False.
        max_duration (float, optional): Seconds from the start that are sampled. Defaults to all.
        fill (bool): Show frames of short videos repeatedly, evenly spread, so that there always
            are T; for backbones that cannot leave padding out. Defaults to False.
    """

    def __init__(self, num_frames: int = 12, divisor: int = 1, fps: float = 5.0,
                 jitter: bool = False, max_duration: Optional[float] = None,
                 fill: bool = False) -> None:
        if max_duration is not None and max_duration <= 0:
            raise ValueError(f'max_duration must be positive, got {max_duration}')
        if num_frames < 1 or divisor < 1 or fps <= 0:
            raise ValueError('num_frames and divisor must be at least 1 and fps positive, got '
                             f'{num_frames}, {divisor}, {fps}')
        self.num_frames = num_frames
        self.divisor = divisor
        self.fps = fps
        self.jitter = jitter
        self.max_duration = max_duration
        self.fill = fill

    def transform(self, results: dict) -> dict:
        """Choose ``frame_inds`` of one video."""
        if self.jitter and 'rng' not in results:
            raise ValueError('jitter=True is for training; the data set is in test_mode')
        duration = min(results['duration'], self.max_duration or float('inf'))
        grid = grid_to_frames(results['frame_times'], duration, self.fps)
        chosen = choose_grid_frames(len(grid), self.num_frames, self.divisor,
                                    results['rng'] if self.jitter else None)
        if self.fill and len(chosen) < self.num_frames:
            chosen = chosen[np.arange(self.num_frames) * len(chosen) // self.num_frames]
        results.update(frame_inds=grid[chosen], clip_len=self.num_frames, num_clips=1,
                       frame_interval=None)
        return results

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(num_frames={self.num_frames}, divisor={self.divisor}, '
                f'fps={self.fps}, jitter={self.jitter}, max_duration={self.max_duration}, '
                f'fill={self.fill})')
