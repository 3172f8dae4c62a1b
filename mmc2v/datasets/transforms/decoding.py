"""Opens videos and decodes the frames that a sampling transform has chosen.

F frames in the file, T frames sampled.
"""
from functools import partial
from typing import Optional

import numpy as np
from mmcv.transforms import BaseTransform

from mmc2v.registry import TRANSFORMS
from mmc2v.video import BACKENDS, MAX_PIXELS, DecodedFrames, KeptVideos, VideoReader

# Decoded frames of a video that are held together.
_MAX_HELD_BYTES = 64 * 2 ** 20


@TRANSFORMS.register_module()
class OpenVideo(BaseTransform):
    """Opens a video and reads when its frames are shown.

    Required keys: filename. Added keys: video_reader, frame_times ((F,) seconds), duration
    (seconds), total_frames, start_index (the latter two for MMAction2's sampling transforms).

    Args:
        backend (str): One of ``BACKENDS``. Defaults to 'pyav'.
        tolerant (bool): For training on damaged files: frames that cannot be decoded are filled
            from the nearest that can, and the data sample says so. By default damage raises.
        max_filled (float): Share in (0, 1) of the frames of an item that ``tolerant`` may fill;
            beyond it the video counts as undecodable. Defaults to 0.5.
        max_pixels (int): Of a frame; a video with larger ones is refused, because a small file can
            otherwise take any amount of memory. Defaults to 8192 x 8192.
        keep_gb (float): GB of memory for whole decoded videos, which stay there for the next
            epochs; those that do not fit are decoded each time. For data sets of few, short and
            small videos, such as a frame cache. Each worker of a loader keeps its own, so set
            num_workers=0. Defaults to 0: nothing stays.

    Raises:
        ValueError: If there is no such backend, the backend cannot be tolerant, or ``max_filled``,
            ``max_pixels`` or ``keep_gb`` is outside its range.
    """

    def __init__(self, backend: str = 'pyav', tolerant: bool = False,
                 max_filled: float = 0.5, max_pixels: int = MAX_PIXELS,
                 keep_gb: float = 0.0) -> None:
        if backend not in BACKENDS:
            raise ValueError(f"backend='{backend}' is none of {sorted(BACKENDS)}")
        if not 0 < max_filled < 1:
            raise ValueError(f'max_filled must lie in (0, 1), got {max_filled}')
        if max_pixels < 1:
            raise ValueError(f'max_pixels must be at least 1, got {max_pixels}')
        if keep_gb < 0:
            raise ValueError(f'keep_gb must not be negative, got {keep_gb}')
        if tolerant and backend == 'decord':
            raise ValueError("backend='decord' cannot tell which frames are whole: set "
                             "tolerant=False, or backend='pyav'")
        self.backend = backend
        self.tolerant = tolerant
        self.max_filled = max_filled
        self.max_pixels = max_pixels
        self.keep_gb = keep_gb
        self._kept = KeptVideos(int(keep_gb * 1e9)) if keep_gb else None

    def _open(self, path: str) -> VideoReader:
        # a backend of one's own need not have a limit
        limit = {} if self.max_pixels == MAX_PIXELS else dict(max_pixels=self.max_pixels)
        return BACKENDS[self.backend](path, self.max_filled if self.tolerant else 0.0, **limit)

    def transform(self, results: dict) -> dict:
        """Open ``results['filename']``."""
        path = results['filename']
        reader = self._kept.open(path, partial(self._open, path)) if self._kept \
            else self._open(path)
        results.update(video_reader=reader, frame_times=reader.times, duration=reader.duration,
                       total_frames=len(reader.times), start_index=0)
        return results

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(backend={self.backend!r}, tolerant={self.tolerant}, '
                f'max_filled={self.max_filled}, max_pixels={self.max_pixels}, '
                f'keep_gb={self.keep_gb})')


@TRANSFORMS.register_module()
class DecodeFrames(BaseTransform):
    """Decodes the sampled frames and closes the video.

    Required keys: video_reader, frame_inds. Added keys: imgs (list of T (H, W, 3) uint8 RGB),
    original_shape, img_shape: those of MMAction2's decoding, so that its transforms can follow;
    damage (str), where frames of a damaged video were filled.

    Large frames are not all held: beyond 64 MiB imgs is a :class:`DecodedFrames`, of which
    :class:`ResizeCenterCrop` takes one at a time. The video is open until then.
    """

    def transform(self, results: dict) -> Optional[dict]:
        """Decode ``results['frame_inds']``."""
        numbers = np.asarray(results['frame_inds']).reshape(-1).tolist()
        frames = DecodedFrames(results.pop('video_reader'), numbers, results)
        results['original_shape'] = results['img_shape'] = frames.first.shape[:2]
        at_once = len(set(numbers)) * frames.first.nbytes <= _MAX_HELD_BYTES
        results['imgs'] = frames.map(lambda image: image) if at_once else frames
        return results
