"""From a file to the frames that its clips consist of, as the model's test pipeline makes them.

C clips, T frames of a clip, F frames of the file.
"""
import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Optional

import numpy as np
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope

from mmc2v.video import VideoReader

from .windows import Windows

# Bytes of frames that are handed over together.
_PART_BYTES = 2 ** 20
_READ_BYTES = 2 ** 24


class Clips(NamedTuple):
    """What is encoded of a video.

    Attributes:
        duration (float): Seconds from where the file begins, as players count.
        spans (np.ndarray): (C, 2) start and end in such seconds; where there are several, the last
            one is the whole video.
        frames (list[np.ndarray]): C times the numbers of at most T frames, ascending.
    """

    duration: float
    spans: np.ndarray
    frames: list[np.ndarray]


class Part(NamedTuple):
    """Some frames of a video.

    Attributes:
        numbers (list[int]): Of the frames.
        images (np.ndarray): (len(numbers), H, W, 3) uint8, as the model takes them.
    """

    numbers: list[int]
    images: np.ndarray


@dataclass
class Damage:
    """The end of a video.

    Attributes:
        text (str, optional): What was filled or is missing.
    """

    text: Optional[str]


class ClipFrames:
    """Reads the frames of clips by the steps of a pipeline.

    Damaged videos are read tolerantly: what was filled is said.

    Args:
        pipeline (Sequence[dict]): The model's test pipeline: opening, sampling, decoding, steps
            that treat each frame alone, packing; those of texts are left out.
        length (float): Seconds of a window.
        stride (float): Seconds between two.

    Raises:
        ValueError: If the pipeline is none of videos, or the windows cannot be.
    """

    def __init__(self, pipeline: Sequence[dict], length: float, stride: float) -> None:
        init_default_scope('mmaction')
        kinds = [getattr(step['type'], '__name__', str(step['type'])).split('.')[-1]
                 for step in pipeline]
        if not {'OpenVideo', 'DecodeFrames'} <= set(kinds):
            raise ValueError('the pipeline of the config opens no videos (mmc2v.OpenVideo, '
                             'mmc2v.DecodeFrames): a model of features cannot search videos')
        opening, decoding = kinds.index('OpenVideo'), kinds.index('DecodeFrames')
        opener = dict(pipeline[opening])
        if opener.get('backend', 'pyav') != 'decord':  # which cannot
            opener['tolerant'] = True
        opener.pop('keep_gb', None)  # no video is read twice
        self._open = Compose([opener])
        self._sample = Compose(list(pipeline[opening + 1:decoding]))
        self._prepare = Compose([step for step, kind in zip(pipeline, kinds)
                                 if kind not in ('Tokenize', 'PackRetrievalInputs')][decoding + 1:])
        seconds = np.arange(0, 100, 0.04)
        self.num_frames = int(self._sampled(seconds, 100.0)['clip_len'])
        self.windows = Windows(length, stride, self.num_frames)

    def _sampled(self, times: np.ndarray, duration: float) -> dict[str, Any]:
        """Sample a whole video as the model is tested."""
        results = dict(frame_times=times, duration=duration, total_frames=len(times),
                       start_index=0, modality='RGB', rng=np.random.default_rng(0))
        return self._sample(results)

    def clips_of(self, times: np.ndarray, duration: float) -> Clips:
        """Choose the clips of a video.

        Args:
            times (np.ndarray): (F,) seconds at which its frames are shown.
            duration (float): Seconds.
        """
        from mmc2v.datasets.transforms.sampling import frames_at
        whole = np.asarray(self._sampled(times, duration)['frame_inds']).reshape(-1)
        spans = self.windows.spans(duration)
        if len(spans) == 1:
            return Clips(duration, spans, [whole])
        frames = list(frames_at(times, self.windows.instants(spans)))
        return Clips(duration, np.concatenate([spans, [[0.0, duration]]]), [*frames, whole])

    def read(self, path: str) -> Iterator[Any]:
        """Read a video.

        Args:
            path (str): The file.

        Yields:
            Clips, then Part and Part, each frame once, then Damage.

        Raises:
            VideoDecodeError: If it cannot be decoded.
            ValueError: If it cannot be sampled.
        """
        reader: VideoReader = self._open(dict(filename=path))['video_reader']
        try:
            clips = self.clips_of(reader.times, reader.duration)
            yield Clips(clips.duration + reader.delay, clips.spans + reader.delay, clips.frames)
            numbers = np.unique(np.concatenate(clips.frames)).tolist()
            yield from self._parts(reader, numbers)
            yield Damage(reader.damage)
        finally:
            reader.close()

    def whole(self, path: str) -> np.ndarray:
        """Read a whole video as the model is tested, and none of its windows.

        Args:
            path (str): The file.

        Returns:
            np.ndarray: (T, H, W, 3) uint8, as the model takes them; fewer of a short video.

        Raises:
            VideoDecodeError: If it cannot be decoded.
            ValueError: If it cannot be sampled.
        """
        reader: VideoReader = self._open(dict(filename=path))['video_reader']
        try:
            numbers = self.clips_of(reader.times, reader.duration).frames[-1].tolist()
            images = {number: self._prepared(image) for number, image in reader.decode(numbers)}
            return np.stack([images[number] for number in numbers])
        finally:
            reader.close()

    def _parts(self, reader: VideoReader, numbers: list[int]) -> Iterator[Part]:
        """Yield frames as they come; from one on that comes a second time, when all are there."""
        given: set[int] = set()
        waiting: dict[int, np.ndarray] = {}
        for number, image in reader.decode(numbers):
            if number in given or number in waiting:
                break
            waiting[number] = self._prepared(image)
            if sum(image.nbytes for image in waiting.values()) >= _PART_BYTES:
                yield Part(list(waiting), np.stack(list(waiting.values())))
                given.update(waiting)
                waiting = {}
        else:
            if waiting:
                yield Part(list(waiting), np.stack(list(waiting.values())))
            return
        yield from self._settled(reader, numbers)

    def _settled(self, reader: VideoReader, numbers: list[int]) -> Iterator[Any]:
        """Decode a damaged video, of which frames are replaced by better ones, into a file first.

        Yields:
            None, as what came before does not count, then all parts.
        """
        yield None
        places = {number: place for place, number in enumerate(numbers)}
        with tempfile.TemporaryFile() as file:
            images: Optional[np.ndarray] = None
            for number, image in reader.decode(numbers):
                image = self._prepared(image)
                if images is None:
                    images = np.memmap(file, np.uint8, 'w+', shape=(len(numbers), *image.shape))
                images[places[number]] = image
            step = max(1, _PART_BYTES // images[0].nbytes)
            for start in range(0, len(numbers), step):
                yield Part(numbers[start:start + step], np.array(images[start:start + step]))

    def _prepared(self, image: np.ndarray) -> np.ndarray:
        results = dict(imgs=[image], original_shape=image.shape[:2], img_shape=image.shape[:2],
                       modality='RGB', num_clips=1, clip_len=1)
        return np.ascontiguousarray(self._prepare(results)['imgs'][0])


def digest_of(path: str) -> bytes:
    """Return the digest of what is in a file, 32 bytes.

    Args:
        path (str): The file.
    """
    digest = hashlib.blake2b(digest_size=32)
    with open(path, 'rb') as file:
        while part := file.read(_READ_BYTES):
            digest.update(part)
    return digest.digest()
