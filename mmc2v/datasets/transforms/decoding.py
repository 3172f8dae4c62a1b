"""Opens videos and decodes the frames that a sampling transform has chosen.

F frames in the file, T frames sampled.
"""
from collections.abc import Sequence
from typing import Optional, Protocol

import numpy as np
from mmcv.transforms import BaseTransform

from mmc2v.registry import TRANSFORMS


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

    Attributes:
        times (np.ndarray): (F,) seconds at which frames are first shown, from 0, ascending.
        duration (float): Seconds from the first frame to the end of the last.
    """

    times: np.ndarray
    duration: float

    def __init__(self, path: str) -> None:
        """Open a file; raise VideoDecodeError if that is impossible."""

    def read(self, indices: Sequence[int]) -> list[np.ndarray]:
        """Return frames as (H, W, 3) uint8 RGB; raise VideoDecodeError if one is missing."""


class DecordReader:
    """Reads by decord, exactly to the frame, with one thread (workers are the parallelism).

    Args:
        path (str): Video file.

    Raises:
        VideoDecodeError: If the file cannot be opened or holds no frame.
    """

    def __init__(self, path: str) -> None:
        import decord
        decord.logging.set_level(decord.logging.FATAL)  # what it prints comes as an error as well
        self.path = path
        try:
            self._reader = decord.VideoReader(path, num_threads=1)
            shown = self._reader.get_frame_timestamp(range(len(self._reader)))
        except Exception as error:  # decord raises what its C++ side threw, of several types
            raise VideoDecodeError(path, _first_line(error)) from error
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
            return list(self._reader.get_batch(list(indices)).asnumpy())
        except Exception as error:
            raise VideoDecodeError(self.path, _first_line(error)) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


BACKENDS: dict[str, type[VideoReader]] = {'decord': DecordReader}


@TRANSFORMS.register_module()
class OpenVideo(BaseTransform):
    """Opens a video and reads when its frames are shown.

    Required keys: filename. Added keys: video_reader, frame_times ((F,) seconds), duration
    (seconds), total_frames, start_index (the latter two for MMAction2's sampling transforms).

    Args:
        backend (str): One of ``BACKENDS``. Defaults to 'decord'.

    Raises:
        ValueError: If there is no such backend.
    """

    def __init__(self, backend: str = 'decord') -> None:
        if backend not in BACKENDS:
            raise ValueError(f"backend='{backend}' is none of {sorted(BACKENDS)}")
        self.backend = backend

    def transform(self, results: dict) -> dict:
        """Open ``results['filename']``."""
        reader = BACKENDS[self.backend](results['filename'])
        results.update(video_reader=reader, frame_times=reader.times, duration=reader.duration,
                       total_frames=len(reader.times), start_index=0)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(backend={self.backend!r})'


@TRANSFORMS.register_module()
class DecodeFrames(BaseTransform):
    """Decodes the sampled frames and closes the video.

    Required keys: video_reader, frame_inds. Added keys: imgs (list of T (H, W, 3) uint8 RGB),
    original_shape, img_shape: those of MMAction2's decoding, so that its transforms can follow.
    """

    def transform(self, results: dict) -> Optional[dict]:
        """Decode ``results['frame_inds']``."""
        reader = results.pop('video_reader')
        results['imgs'] = reader.read(np.asarray(results['frame_inds']).reshape(-1).tolist())
        results['original_shape'] = results['img_shape'] = results['imgs'][0].shape[:2]
        return results
