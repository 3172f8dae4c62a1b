"""Whole videos that stay in memory once they were decoded, for small data sets read many times.

F frames in the file, T frames read.
"""
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Optional

import numpy as np

from .reader import VideoDecodeError, VideoReader


@dataclass(frozen=True)
class _Kept:
    """A video: what :class:`~mmc2v.video.reader.VideoReader` says of it, and its F frames."""

    times: np.ndarray
    duration: float
    delay: float
    frames: list[np.ndarray]


class KeptVideos:
    """Opens videos, and keeps them decoded as long as there is room.

    What is kept is decoded from its first frame to its last, so that a sampling may ask for others
    in the next epoch; what does not fit is opened as ever. Files are taken not to change. Damaged
    ones are not kept, so that their damage is reported each time.

    Args:
        max_bytes (int): Of all frames together.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.num_bytes = 0
        self._videos: dict[str, Optional[_Kept]] = {}  # None where it is not to be kept

    def open(self, path: str, opener: Callable[[], VideoReader]) -> VideoReader:
        """Return a reader of a video.

        Args:
            path (str): The file.
            opener (Callable): Opens it.

        Raises:
            VideoDecodeError: If it cannot be opened.
        """
        if path not in self._videos:
            reader = opener()
            try:
                self._videos[path] = self._keep(reader)
            finally:
                reader.close()
        video = self._videos[path]
        return opener() if video is None else _KeptReader(video)

    def _keep(self, reader: VideoReader) -> Optional[_Kept]:
        """Decode a video that fits; return None where it does not, or is damaged."""
        frames: dict[int, np.ndarray] = {}
        try:
            for number, image in reader.decode(range(len(reader.times))):
                if self.num_bytes + len(reader.times) * image.nbytes > self.max_bytes:
                    return None
                frames[number] = image
        except VideoDecodeError:
            return None  # what is sampled may be whole
        if reader.damage is not None:
            return None
        self.num_bytes += sum(image.nbytes for image in frames.values())
        return _Kept(reader.times, reader.duration, reader.delay,
                     [frames[number] for number in range(len(reader.times))])


class _KeptReader:
    """A reader of a video in memory; see :class:`~mmc2v.video.reader.VideoReader`."""

    damage = None

    def __init__(self, video: _Kept) -> None:
        self._frames = video.frames
        self.times, self.duration, self.delay = video.times, video.duration, video.delay

    def read(self, indices: Sequence[int]) -> list[np.ndarray]:
        """Return copies of T frames, because transforms may change an image in place."""
        return [self._frames[index].copy() for index in indices]

    def decode(self, indices: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        """Yield number and image of each."""
        return zip(dict.fromkeys(indices), self.read(list(dict.fromkeys(indices))))

    def check(self) -> None:
        """Do nothing: everything was decoded."""

    def close(self) -> None:
        """Do nothing: it stays for the next epoch."""
