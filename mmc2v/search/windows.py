"""From the length of a video to the clips that are searched.

C clips, T frames of a clip.
"""
from dataclasses import dataclass

import numpy as np

# Seconds by which sums of strides may miss an end.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Windows:
    """Clips of one length at regular distances.

    The frames of a clip lie ``length / num_frames`` apart, from its start on. Where the stride is a
    multiple of that, neighbouring clips share frames, which are decoded and encoded once.

    Args:
        length (float): Seconds of a clip. Defaults to 10.
        stride (float): Seconds from the start of one to that of the next. Defaults to 5.
        num_frames (int): T, frames of a clip. Defaults to 12.

    Raises:
        ValueError: If they are not positive, or clips would leave gaps.
    """

    length: float = 10.0
    stride: float = 5.0
    num_frames: int = 12

    def __post_init__(self) -> None:
        if not 0 < self.length < float('inf'):
            raise ValueError(f'a window must be a number of seconds above 0, got {self.length}')
        if not 0 < self.stride <= self.length:
            raise ValueError(f'the stride must be above 0 and at most the window of '
                             f'{self.length:g} s, got {self.stride}')
        if self.num_frames < 1:
            raise ValueError(f'a clip has at least one frame, got {self.num_frames}')

    @property
    def spacing(self) -> float:
        """Seconds between two frames of a clip."""
        return self.length / self.num_frames

    def spans(self, duration: float) -> np.ndarray:
        """Return where the clips of a video lie.

        The last one ends with the video, but for less than :attr:`spacing`, so that it shares
        frames as well. A video that is no longer than a window is one clip.

        Args:
            duration (float): Seconds.

        Returns:
            np.ndarray: (C, 2) start and end in seconds, float64; C is at least 1.
        """
        room = duration - self.length
        if room <= _ROUNDING:
            return np.array([[0.0, duration]])
        starts = np.arange(int((room + _ROUNDING) / self.stride) + 1, dtype=float) * self.stride
        last = int((room + _ROUNDING) / self.spacing) * self.spacing
        if last > starts[-1] + _ROUNDING:
            starts = np.append(starts, last)
        ends = starts + self.length
        ends[-1] = duration if duration - ends[-1] < self.spacing else ends[-1]
        return np.stack([starts, np.minimum(ends, duration)], axis=1)

    def instants(self, spans: np.ndarray) -> np.ndarray:
        """Return (C, T) seconds at which the frames of clips are shown.

        Args:
            spans (np.ndarray): (C, 2), from :meth:`spans`, of a video longer than a window.
        """
        return spans[:, :1] + self.spacing * np.arange(self.num_frames)
