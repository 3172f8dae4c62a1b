"""A folder of short videos that hold the frames that training and evaluation sample, resized.

Motion JPEG in MP4 with the times of the original: it is read like any other video, and the sampling
finds the frames that it would find in the original.
"""
import io
import shutil
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Optional

import numpy as np
from PIL import Image

from mmc2v.strict_text import read_json
from mmc2v.video import BACKENDS, DecodedFrames, VideoDecodeError
from mmc2v.whole_files import open_whole, to_json, write_whole

from .transforms import ResizeCenterCrop, SampleGridFrames
from .transforms.sampling import choose_grid_frames, grid_size, grid_to_frames

RECORD = 'cache.json'
VERSION = 1
_TIME_BASE = Fraction(1, 10 ** 6)


@dataclass(frozen=True)
class CacheSettings:
    """How a cache is made.

    Attributes:
        size (int): Side of the square frames.
        num_frames (int): Frames that the model takes, as the sampling has them.
        divisor (int): Thinning of the grid, likewise.
        fps (float): Rate of the grid, likewise.
        max_duration (float, optional): Seconds that are sampled, likewise.
        interpolation (str): Of the resize, as the pipeline has it.
        keep_ratio (bool): Likewise.
        candidates (int): Frames kept of each video, at least, where it has so many on the grid.
        quality (int): Of JPEG, up to 95.
        version (int): Of this format.
    """

    size: int
    num_frames: int
    divisor: int
    fps: float
    max_duration: Optional[float]
    interpolation: str = 'bicubic'
    keep_ratio: bool = True
    candidates: int = 36
    quality: int = 90
    version: int = VERSION

    def choose(self, times: np.ndarray, duration: float) -> np.ndarray:
        """Choose the frames to keep: those of evaluation, and candidates for jitter.

        Args:
            times (np.ndarray): (F,) seconds at which frames are first shown.
            duration (float): Seconds of the whole video.

        Returns:
            np.ndarray: Ascending frame numbers.
        """
        size = grid_size(min(duration, self.max_duration or float('inf')), self.fps)
        kept = [choose_grid_frames(size, number, self.divisor)
                for number in (self.num_frames, self.candidates)]
        return np.unique(grid_to_frames(times, np.concatenate(kept), self.fps))


def settings_of(transforms: Sequence[Any], **kwargs) -> CacheSettings:
    """Read from a pipeline how its cache has to be.

    Args:
        transforms (Sequence): Built transforms.
        **kwargs: ``candidates``, ``quality``.

    Raises:
        ValueError: If the pipeline does not sample and crop in the way that a cache supports.
    """
    sampling = [step for step in transforms if isinstance(step, SampleGridFrames)]
    cropping = [step for step in transforms if isinstance(step, ResizeCenterCrop)]
    if len(sampling) != 1 or len(cropping) != 1:
        raise ValueError('a frame cache serves pipelines with one SampleGridFrames and one '
                         f'ResizeCenterCrop, got {[type(step).__name__ for step in transforms]}')
    return CacheSettings(cropping[0].size, sampling[0].num_frames, sampling[0].divisor,
                         sampling[0].fps, sampling[0].max_duration, cropping[0].interpolation,
                         cropping[0].keep_ratio, **kwargs)


def check_cache(folder: Path, transforms: Sequence[Any]) -> bool:
    """Check that a folder, if it is a cache, is one for this pipeline.

    Args:
        folder (Path): Folder of videos.
        transforms (Sequence): Built transforms that will read them.

    Returns:
        bool: Whether it is a cache.

    Raises:
        ValueError: If it is one of another size, sampling or version, or has too few candidates
            for jitter.
    """
    path = folder / RECORD
    if not path.is_file():
        return False
    record = _read_record(path)
    wanted = asdict(settings_of(transforms))
    different = {key: (record.get(key), wanted[key]) for key in wanted
                 if key not in ('candidates', 'quality') and record.get(key) != wanted[key]}
    if different:
        raise ValueError(f"the frame cache '{folder}' does not fit this config: " + ', '.join(
            f'{key} is {made!r} there and {asked!r} here' for key, (made, asked) in
            different.items()) + '. Make another: python tools/cache_videos.py CONFIG --out FOLDER')
    jitters = any(isinstance(step, SampleGridFrames) and step.jitter for step in transforms)
    if jitters and record['candidates'] < 2 * wanted['num_frames']:
        raise ValueError(f"the frame cache '{folder}' holds {record['candidates']} candidates a "
                         f"video, too few to jitter {wanted['num_frames']} frames: make it with "
                         f"--candidates {3 * wanted['num_frames']}, or set jitter=False")
    return True


def _read_record(path: Path) -> dict:
    """Read how a cache was made; the first ones knew one way to resize."""
    record = {'interpolation': 'bicubic', 'keep_ratio': True, **read_json(path)}
    if not isinstance(record.get('candidates'), int):
        raise ValueError(f"'{path}' is not the record of a frame cache: it has no number of "
                         "'candidates'. Give another folder, or make the cache anew")
    return record


def start_cache(folder: Path, settings: CacheSettings) -> None:
    """Write the record of a cache, or check that a begun one is the same.

    Raises:
        ValueError: If the folder is a cache made otherwise, or holds something else.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / RECORD
    if path.is_file():
        record = _read_record(path)
        if record != asdict(settings):
            raise ValueError(f"'{folder}' is a cache made with {record}, not with "
                             f'{asdict(settings)}: give another folder, or remove it')
    elif any(folder.iterdir()):
        raise ValueError(f"'{folder}' holds files and is no frame cache: give an empty folder")
    else:
        write_whole(path, to_json(asdict(settings)))


def cache_video(source: str, target: str, settings: CacheSettings) -> Optional[str]:
    """Write one video of a cache, whole or not at all.

    Args:
        source (str): Video file.
        target (str): Where the cached one goes.
        settings (CacheSettings): How it is made.

    Returns:
        str, optional: Why the video cannot be decoded; it is copied as it is then, so that reading
        the cache says what reading the original says.
    """
    try:
        with closing(BACKENDS['pyav'](source)) as reader:
            numbers = settings.choose(reader.times, reader.duration)
            resize = ResizeCenterCrop(settings.size, settings.interpolation, settings.keep_ratio)
            images = resize.transform(dict(imgs=DecodedFrames(reader, numbers.tolist())))['imgs']
    except VideoDecodeError as error:
        with open(source, 'rb') as original, open_whole(target) as copy:
            shutil.copyfileobj(original, copy)
        return error.reason
    write_whole(target, _encode(images, reader.times[numbers], reader.duration, settings))
    return None


def _encode(images: Sequence[np.ndarray], times: np.ndarray, duration: float,
            settings: CacheSettings) -> bytes:
    import av
    file = io.BytesIO()
    ticks = [int(time / _TIME_BASE) for time in (*times, duration)]
    with av.open(file, 'w', format='mp4') as container:
        stream = container.add_stream('mjpeg', rate=25)
        stream.width = stream.height = settings.size
        stream.pix_fmt = 'yuvj420p'
        stream.time_base = stream.codec_context.time_base = _TIME_BASE
        for image, start, end in zip(images, ticks, ticks[1:]):
            content = io.BytesIO()
            Image.fromarray(image).save(content, 'jpeg', quality=settings.quality, optimize=True)
            packet = av.Packet(content.getvalue())
            packet.stream, packet.time_base = stream, _TIME_BASE
            packet.pts = packet.dts = start
            packet.duration = max(1, end - start)
            packet.is_keyframe = True
            container.mux(packet)
    return file.getvalue()
