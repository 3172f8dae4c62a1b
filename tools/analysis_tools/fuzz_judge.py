"""Reads a damaged video by the whole pipeline, and says what was wrong with what came of it."""
import os
import re
import sys
import tempfile
import time
import traceback
from collections import Counter
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Optional

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from fuzz_damage import TIMES_HOLD
from fuzz_sources import RATE, Source
from mmaction.registry import TRANSFORMS
from mmcv.transforms import BaseTransform

from mmc2v.datasets.randomness import global_randomness
from mmc2v.datasets.transforms import (
    DecodeFrames,
    OpenVideo,
    PackRetrievalInputs,
    ResizeCenterCrop,
    SampleGridFrames,
)
from mmc2v.video import VideoDecodeError
from mmc2v.video.opening import open_container
from mmc2v.video.packet_index import VideoIndex

# What must not happen.
FAULTS = ('crash', 'hang', 'memory', 'descriptors', 'another error', 'another time', 'flagged',
          'silent', 'opened')
# Containers that have no time for each frame, by name or with a codec: where a packet is lost, what
# follows moves up.
_TIMELESS = {'dv', 'h264', 'hevc', 'm4v', 'mjpeg', 'mpeg', 'mpeg1video', 'mpeg2video', 'mxf', 'obu',
             'yuv4mpegpipe', ('asf', 'h264')}
# Codecs that send frames of later times ahead, to refer to: where packets are lost, one may stay.
_HIDDEN_FRAMES = {'av1', 'vp8', 'vp9'}
# Decoders that allow for an encoder's faults until frames without them have come (in MPEG-4 the end
# of a picture may be padded wrongly): what they notice depends on where they begin.
_LEARNS = {'mpeg4'}
Frame = tuple[Optional[float], np.ndarray, bool]


def samplers() -> list[BaseTransform]:
    """Return sampling transforms: ours and MMAction2's."""
    return [SampleGridFrames(6, jitter=True, fps=20), SampleGridFrames(4, divisor=2),
            SampleGridFrames(6, fill=True), *(TRANSFORMS.build(config) for config in (
                dict(type='UniformSample', clip_len=5),
                dict(type='DenseSampleFrames', clip_len=4, frame_interval=2, num_clips=1),
                dict(type='SampleFrames', clip_len=4, frame_interval=3, num_clips=1)))]


def plainly(path: str, start: int = 0) -> list[Frame]:
    """Decode from a packet, as far as it goes: pts, image, whether called corrupt."""
    frames: list[Frame] = []
    # One of its own: PyAV 19 shares one with threads, which waits for ever in a forked process.
    reformatter = VideoReformatter()
    try:
        with open_container(path) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            for packet in islice(container.demux(stream), start, None):
                try:
                    decoded = stream.decode(packet)
                except av.FFmpegError:
                    continue
                for frame in decoded:
                    image = reformatter.reformat(frame, format='rgb24', threads=1).to_ndarray()
                    frames.append((frame.pts, image, frame.is_corrupt))
    except (av.FFmpegError, ValueError, IndexError):
        pass
    return frames


def at(frames: list[Frame], index: VideoIndex, number: int) -> tuple[Optional[np.ndarray], bool]:
    """Find the frame of a number, by time where the index goes by time."""
    if index.by_order:  # which counts whole frames
        whole = [frame for frame in frames if not frame[2]]
        return whole[number][1:] if number < len(whole) else (None, False)
    return next((frame[1:] for frame in frames if frame[0] == index.pts[number]), (None, False))


def resembles_another(image: np.ndarray, own: Optional[np.ndarray], frames: list[Frame]) -> bool:
    """Say whether an image looks like the frame of another time rather than of its own.

    Neighbouring frames of the made videos differ by 30 to 50 levels on average.
    """
    def difference(other: Optional[np.ndarray]) -> float:
        if other is None or other.shape != image.shape:
            return 255.0
        return float(np.abs(other.astype(np.int16) - image).mean())
    nearest = min((difference(other) for _, other, _ in frames), default=255.0)
    return nearest < 8 and difference(own) > 2 * nearest + 1


@cache
def original_frames(source: Source) -> list[Frame]:
    """Decode an undamaged video; the times are seconds."""
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(source.content)
        return [(number / RATE, image, False)
                for number, (_, image, _) in enumerate(plainly(file.name))]


def _peak_memory(reset: bool = False) -> int:
    """Return the largest memory in bytes that the process had since the last reset."""
    if reset:
        Path('/proc/self/clear_refs').write_text('5')
    return 1024 * int(re.search(r'VmHWM:\s*(\d+)', Path('/proc/self/status').read_text())[1])


def read(path: str, tolerant: bool, sampler: BaseTransform, seed: int) -> dict:
    """Read frames as training does.

    Returns:
        dict: ``outcome``; where it is 'read', what the pipeline had after decoding, and ``index``.
    """
    rng = np.random.default_rng(seed)
    results = dict(filename=path, modality='RGB', rng=rng)
    try:
        with global_randomness(rng):
            results = sampler(OpenVideo(tolerant=tolerant)(results))
            index = results['video_reader']._index
            results = DecodeFrames()(results)
            images = results['imgs']
            packed = PackRetrievalInputs()(ResizeCenterCrop(32)(results))
    except (VideoDecodeError, ValueError) as error:
        named = path in str(error)
        return dict(outcome='refused') if named else dict(outcome='another error',
                                                          reason=traceback.format_exc())
    except Exception:
        return dict(outcome='another error', reason=traceback.format_exc())
    assert packed['inputs']['frames'].shape[1:] == (3, 32, 32)
    return dict(outcome='read', index=index, images=images, times=results['frame_times'],
                wanted=np.asarray(results['frame_inds']).reshape(-1),
                reported='damage' in packed['data_samples'])


def _compare(strict: dict, path: str, way: str, source: Source, original: list[Frame]) -> Counter:
    """Compare what strict reading returned with plain decoding and with the undamaged video."""
    counts: Counter = Counter()
    plain = plainly(path)
    if way.startswith('joined') or way == 'display matrix':
        original = []
    first = 1 if way == 'lost first keyframe' else 0
    for number, image in zip(strict['wanted'], strict['images']):
        shown, corrupt = at(plain, strict['index'], int(number))
        shown_at = strict['times'][number] + first / RATE
        undamaged = next((other for time, other, _ in original
                          if abs(time - shown_at) < 0.01), None)
        counts['strict frames'] += 1
        if corrupt and source.codec in _LEARNS and not strict['index'].by_order:
            begun = plainly(path, strict['index'].start_of(int(number)))
            corrupt = at(begun, strict['index'], int(number))[1]
        counts['flagged'] += corrupt
        if not any(other is not None and np.array_equal(other, image)
                   for other in (shown, undamaged)):
            counts['another time'] += resembles_another(image, shown, plain)
        if undamaged is not None:
            counts['strict frames with a counterpart'] += 1
            if not np.array_equal(undamaged, image):
                moved = resembles_another(image, undamaged, original)
                counts['time damaged unnoticed' if moved else 'pixels damaged unnoticed'] += 1
                # a picture that stays where packets are lost, in the file itself, is unnoticed
                stays = shown is not None and np.array_equal(shown, image)
                counts['another time'] += (
                    way in TIMES_HOLD and not strict['index'].timeless
                    and _TIMELESS.isdisjoint((source.container, (source.container, source.codec)))
                    and not (stays and source.codec in _HIDDEN_FRAMES)
                    and any(np.array_equal(other, image) for time, other, _ in original
                            if not stays or time > shown_at))
    return counts


def examine(path: str, way: str, source: Source, original: list[Frame], sampler: BaseTransform,
            seed: int, max_memory: int) -> Counter:
    """Read one damaged file, strictly and tolerantly, and compare; see fuzz_decoding.py.

    Args:
        path (str): The damaged file.
        way (str): In which it was damaged.
        source (Source): What it was.
        original (list[Frame]): Frames of that.
        sampler (BaseTransform): Chooses frames.
        seed (int): Of the sampler.
        max_memory (int): Bytes that reading may take for a while.

    Returns:
        Counter: Numbers of frames and outcomes; ``peak`` in bytes; ``slowest`` in seconds.
    """
    descriptors, start = len(os.listdir('/proc/self/fd')), time.perf_counter()
    before = _peak_memory(reset=True)
    strict, tolerant = (read(path, tolerant, sampler, seed) for tolerant in (False, True))
    peak, seconds = _peak_memory() - before, time.perf_counter() - start
    counts = Counter({f'strict: {strict["outcome"]}': 1, f'tolerant: {tolerant["outcome"]}': 1})
    counts['descriptors'] = len(os.listdir('/proc/self/fd')) > descriptors
    counts['memory'] = peak > max_memory
    if strict['outcome'] == 'read':
        counts['opened'] = way == 'no video'
        counts += _compare(strict, path, way, source, original)
    if tolerant['outcome'] == 'read':
        counts['tolerant: reported'] = tolerant['reported']
        counts['silent'] = not tolerant['reported'] and not (
            strict['outcome'] == 'read' and all(map(np.array_equal, strict['images'],
                                                    tolerant['images'])))
    for result in (strict, tolerant):
        if result['outcome'] == 'another error':
            print(result['reason'], file=sys.stderr)
            counts['another error'] += 1
    return counts + Counter(peak=max(0, peak), slowest=seconds)
