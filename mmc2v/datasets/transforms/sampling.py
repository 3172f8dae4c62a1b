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
    thinned = max(1, num_grid_frames // divisor)
    chosen = np.arange(thinned) if thinned <= num_frames else np.linspace(
        0, thinned - 1, num_frames, dtype=int)
    if rng is not None and 2 < num_frames < thinned:
        half_gap = (chosen[1] - chosen[0]) // 2
        if half_gap > 2:
            chosen[1:-1] += rng.integers(-half_gap, half_gap, num_frames - 2)
    return _elements_of_linspace(num_grid_frames - 1, thinned, chosen)


def _elements_of_linspace(stop: int, count: int, wanted: np.ndarray) -> np.ndarray:
    """Return ``np.linspace(0, stop, count, dtype=int)[wanted]`` without making the whole."""
    elements = np.floor(wanted * (stop / max(1, count - 1))).astype(np.int64)
    elements[wanted == count - 1] = stop if count > 1 else 0  # linspace ends exactly there
    return elements


def grid_size(duration: float, fps: float = 5.0) -> int:
    """Return F, the number of frames that extracting at ``fps`` writes: at least 1.

    Args:
        duration (float): Seconds from the first frame to the end of the last.
        fps (float): Grid instants a second. Defaults to 5.
    """
    return max(1, round(duration * fps))


def grid_to_frames(times: np.ndarray, grid: np.ndarray, fps: float = 5.0) -> np.ndarray:
    """Find the frames that are shown at instants of a regular grid.

    This is what extracting at that rate writes to files, without the files.

    Args:
        times (np.ndarray): Seconds at which frames are first shown, from 0, ascending.
        grid (np.ndarray): (T,) indices of grid frames, k for the instant k / fps.
        fps (float): Grid instants a second. Defaults to 5.

    Returns:
        np.ndarray: (T,) frame indices.
    """
    return frames_at(times, grid / fps)


def frames_at(times: np.ndarray, instants: np.ndarray) -> np.ndarray:
    """Find the frames that are shown at some instants.

    Args:
        times (np.ndarray): Seconds at which frames are first shown, from 0, ascending.
        instants (np.ndarray): (T,) seconds, not negative.

    Returns:
        np.ndarray: (T,) frame indices.
    """
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
        chosen = choose_grid_frames(grid_size(duration, self.fps), self.num_frames, self.divisor,
                                    results['rng'] if self.jitter else None)
        if self.fill and len(chosen) < self.num_frames:
            chosen = chosen[np.arange(self.num_frames) * len(chosen) // self.num_frames]
        frames = grid_to_frames(results['frame_times'], chosen, self.fps)
        results.update(frame_inds=frames, clip_len=self.num_frames, num_clips=1,
                       frame_interval=None)
        return results

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(num_frames={self.num_frames}, divisor={self.divisor}, '
                f'fps={self.fps}, jitter={self.jitter}, max_duration={self.max_duration}, '
                f'fill={self.fill})')
