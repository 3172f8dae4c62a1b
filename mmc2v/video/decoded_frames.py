"""Decoded frames that are made smaller one by one.

T frames read.
"""
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Optional

import numpy as np

from .reader import VideoReader


class DecodedFrames(Sequence):
    """Frames of a video, of which only one is held until somebody asks for them.

    As a sequence it is T (H, W, 3) uint8 images, all held from the first access on.

    Args:
        reader (VideoReader): Closed when all are decoded, or one cannot be.
        numbers (Sequence[int]): (T,) frames.
        results (dict, optional): Gets ``damage`` where frames were filled.

    Attributes:
        first (np.ndarray): (H, W, 3) uint8, the first that was decoded.
    """

    def __init__(self, reader: VideoReader, numbers: Sequence[int],
                 results: Optional[dict] = None) -> None:
        self._reader = reader
        self._numbers = numbers
        self._results = results
        self._images: Optional[list[np.ndarray]] = None
        frames = self._decode()
        number, self.first = next(frames)
        self._arriving = chain([(number, self.first)], frames)

    def _decode(self) -> Iterator[tuple[int, np.ndarray]]:
        try:
            yield from self._reader.decode(self._numbers)
        finally:
            self._reader.close()
        if self._results is not None and self._reader.damage is not None:
            self._results['damage'] = self._reader.damage

    def map(self, function: Callable[[np.ndarray], np.ndarray]) -> list[np.ndarray]:
        """Return what a function makes of each of the T frames, without holding them."""
        if self._images is not None:
            return [function(image) for image in self._images]
        made = {number: function(image) for number, image in self._arriving}
        return [made[number] for number in self._numbers]

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index):
        if self._images is None:
            self._images = self.map(lambda image: image)
        return self._images[index]
