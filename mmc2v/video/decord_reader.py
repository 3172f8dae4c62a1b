"""Reading videos by decord."""
from collections.abc import Iterator, Sequence
from typing import Optional

import av
import numpy as np

from .opening import address_of, delay_of, open_video
from .packet_decoder import check_size, display_matrix
from .reader import MAX_PIXELS, VideoDecodeError, first_line


class DecordReader:
    """Reads by decord, exactly to the frame, with one thread (workers are the parallelism).

    It neither obeys edit lists nor notices every damage; :class:`PyAVReader` does, and is faster.

    Args:
        path (str): Video file.
        max_filled (float): Must be 0: decord cannot tell which frames are whole.
        max_pixels (int): Of a frame, as the file declares it. Defaults to 8192 x 8192.

    Raises:
        VideoDecodeError: If the file cannot be opened or holds no frame.
    """

    damage: Optional[str] = None

    def __init__(self, path: str, max_filled: float = 0.0,
                 max_pixels: int = MAX_PIXELS) -> None:
        assert max_filled == 0
        import decord
        decord.logging.set_level(decord.logging.FATAL)  # what it prints comes as an error as well
        self.path = path
        try:
            container, stream = open_video(path)  # refuses what decord would open besides videos
            with container:
                declared = stream.codec_context
                check_size(declared.width, declared.height, max_pixels)
                self.delay = delay_of(container, float((stream.start_time or 0) * stream.time_base))
                self._mirrored_axis = _mirrored_axis(container, stream)
            self._reader = decord.VideoReader(address_of(path), num_threads=1)
            shown = self._reader.get_frame_timestamp(range(len(self._reader)))
        except Exception as error:  # decord raises what its C++ side threw, of several types
            raise VideoDecodeError(path, first_line(error)) from error
        if len(shown) == 0:
            raise VideoDecodeError(path, 'there is no video frame in it')
        starts, ends = shown.astype(np.float64).T
        if (starts < 0).any() or (np.diff(starts) < 0).any():
            # Packed B-frames in avi carry no timestamps, and decord returns garbage. Such files
            # have a constant frame rate by their format.
            rate = self._reader.get_avg_fps()
            starts = np.arange(len(shown)) / rate
            ends = starts + 1 / rate
        self.times = starts - starts[0]
        self.duration = float(ends[-1] - starts[0])

    def read(self, indices: Sequence[int]) -> list[np.ndarray]:
        """See :class:`VideoReader`."""
        try:
            images = self._reader.get_batch(list(indices)).asnumpy()
        except Exception as error:
            raise VideoDecodeError(self.path, first_line(error)) from error
        if self._mirrored_axis is not None:
            images = np.flip(images, self._mirrored_axis)
        return list(np.ascontiguousarray(images))

    def decode(self, indices: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        """See :class:`VideoReader`."""
        for number in sorted({int(index) for index in indices}):
            yield number, self.read([number])[0]

    def check(self) -> None:
        """See :class:`VideoReader`."""
        for start in range(0, len(self.times), 16):
            self.read(range(start, min(start + 16, len(self.times))))

    def close(self) -> None:
        """See :class:`VideoReader`."""
        self._reader = None


def _mirrored_axis(container: av.container.InputContainer, stream: av.VideoStream) -> Optional[int]:
    """Return the axis of (T, H, W, 3) images along which decord leaves them unmirrored.

    It turns by the display matrix, as if that had no mirror. The matrix comes with a frame.
    """
    stream.codec_context.thread_count = 1
    try:
        matrix = next((display_matrix(frame) for frame in container.decode(stream)), None)
    except av.FFmpegError:
        return None  # decord says what is wrong
    if matrix is None:
        return None
    a, b, c, d = matrix
    if a * d - b * c > 0:
        return None
    return 1 if abs(a) > abs(b) else 2
