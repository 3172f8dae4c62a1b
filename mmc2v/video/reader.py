"""What every decoding backend offers.

F frames in the file, T frames read.
"""
from collections.abc import Iterator, Sequence
from typing import Optional, Protocol

import numpy as np

from mmc2v.first_line import first_line_of

# Of a frame, by default: all sizes of 8K.
MAX_PIXELS = 8192 * 8192


class VideoDecodeError(RuntimeError):
    """A video that cannot be decoded.

    Args:
        path (str): The file.
        reason (str): What the decoder says.
    """

    def __init__(self, path: str, reason: str = '') -> None:
        super().__init__(path, reason)  # both, so that it survives pickling
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f'{self.path} cannot be decoded: {self.reason}' if self.reason else self.path


class VideoReader(Protocol):
    """What a decoding backend offers; register one in ``BACKENDS``.

    Args:
        path (str): Video file.
        max_filled (float): Share in [0, 1) of the frames read that may be filled from the nearest
            decodable frame where the file is damaged. 0 is strict: damage raises.
        max_pixels (int): Of a frame; larger ones raise.

    Attributes:
        times (np.ndarray): (F,) seconds at which frames are first shown, from 0, ascending.
        duration (float): Seconds from the first frame to the end of the last.
        delay (float): Seconds from where the file begins, as players count, to its first frame:
            the sound may come first.
        damage (str, optional): What was filled or is missing, after :meth:`read`; none where the
            frames are what the file says.
    """

    times: np.ndarray
    duration: float
    delay: float
    damage: Optional[str]

    def __init__(self, path: str, max_filled: float = 0.0,
                 max_pixels: int = MAX_PIXELS) -> None:
        """Open a file; raise VideoDecodeError if that is impossible."""

    def read(self, indices: Sequence[int]) -> list[np.ndarray]:
        """Return T frames as (H, W, 3) uint8 RGB; raise VideoDecodeError if one is missing."""

    def decode(self, indices: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        """Yield number and image of each frame of :meth:`read`, so that none has to be held.

        A frame that comes again replaces the one before. Whether they are right is known at the
        end: until then VideoDecodeError may be raised.
        """

    def check(self) -> None:
        """Decode everything; raise VideoDecodeError if that is impossible."""

    def close(self) -> None:
        """Let go of the file and of the decoder's memory; nothing can be read afterwards."""


def first_line(error: Exception) -> str:
    """Return the first line of what a decoder's error says, or its type."""
    # FFmpeg's errors repeat number and path
    return first_line_of(getattr(error, 'strerror', None) or error)
