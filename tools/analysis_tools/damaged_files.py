"""Damaged videos: how they are made, read and counted; see fuzz_decoding.py.

Files are examined in processes that a crash or a hang cannot hide in.
"""
import json
import multiprocessing
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from tqdm import tqdm

from mmc2v.datasets.transforms import BACKENDS, VideoDecodeError
from mmc2v.video.packet_index import VideoIndex, open_container

# What must not happen.
FAULTS = ('crash', 'hang', 'another error', 'another time', 'flagged', 'silent')
SOURCES = {
    'h264.mp4': dict(codec='libx264', options={'g': '12', 'bf': '2'}),
    'h264_faststart.mp4': dict(codec='libx264', options={'g': '12', 'bf': '2'},
                               container_options={'movflags': 'faststart'}),
    'h264_fragments.mp4': dict(codec='libx264', options={'g': '10'},
                               container_options={'movflags': 'frag_keyframe+empty_moov'}),
    'h264_slices.mp4': dict(codec='libx264', options={'g': '12', 'slices': '4'},
                            container_options={'movflags': 'faststart'}),
    'h264.mkv': dict(codec='libx264', options={'g': '12', 'bf': '2'}),
    'h264.ts': dict(codec='libx264', options={'g': '12', 'bf': '2'}),
    'hevc.mp4': dict(codec='libx265', options={
        'x265-params': 'log-level=none:pools=1:frame-threads=1:keyint=12'}),
    'vp9.webm': dict(codec='libvpx-vp9', options={'g': '12', 'cpu-used': '8',
                                                  'deadline': 'realtime'}),
    'av1.mp4': dict(codec='libsvtav1', options={'g': '12', 'preset': '10',
                                                'svtav1-params': 'lp=1'}),
    'mpeg4.avi': dict(codec='mpeg4', options={'g': '12', 'bf': '2'}),
    'mpeg4.mp4': dict(codec='mpeg4', options={'g': '12'}),
    'mjpeg.avi': dict(codec='mjpeg', pix_fmt='yuvj420p'),
    'wmv2.wmv': dict(codec='wmv2', options={'g': '12'}),
    'flv1.flv': dict(codec='flv', options={'g': '12'}),
    'qtrle.mov': dict(codec='qtrle', pix_fmt='rgb24', options={'g': '12'}),
    'ffv1.mkv': dict(codec='ffv1', options={'g': '12'}),
}
NUM_FRAMES, SIZE = 36, 64


def make_video(path: Path, codec: str, options: Sequence = (), container_options: Sequence = (),
               pix_fmt: str = 'yuv420p') -> None:
    """Write a short video in which every frame is another."""
    rng = np.random.default_rng(0)
    texture = np.kron(rng.integers(0, 256, (24, 24, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    with av.open(str(path), 'w', options=dict(container_options)) as container:
        stream = container.add_stream(codec, rate=25, options=dict(options))
        stream.width, stream.height, stream.pix_fmt = SIZE, SIZE, pix_fmt
        for number in range(NUM_FRAMES):
            image = texture[number:number + SIZE, 2 * number:2 * number + SIZE]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(
                np.ascontiguousarray(image), 'rgb24')))
        container.mux(stream.encode())


def damage(content: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    """Damage a file in one way.

    Returns:
        tuple[str, bytes]: Name of the way, and the new content.
    """
    data = bytearray(content)
    size = len(data)
    start = int(rng.integers(size))
    length = int(min(size - start, 2 ** rng.integers(0, 13)))
    way = str(rng.choice(['cut off', 'zeroed', 'random bytes', 'scattered bytes', 'flipped bits',
                          'removed', 'repeated', 'header']))
    if way == 'cut off':
        del data[start:]
    elif way == 'zeroed':
        data[start:start + length] = bytes(length)
    elif way == 'random bytes':
        data[start:start + length] = rng.bytes(length)
    elif way == 'scattered bytes':
        for place in rng.integers(size, size=int(2 ** rng.integers(0, 8))):
            data[place] = int(rng.integers(256))
    elif way == 'flipped bits':
        for place in rng.integers(size, size=int(2 ** rng.integers(0, 6))):
            data[place] ^= 1 << int(rng.integers(8))
    elif way == 'removed':
        del data[start:start + length]
    elif way == 'repeated':
        data[start:start] = data[start:start + length]
    else:  # where containers keep their tables
        area = range(min(1500, size)) if rng.random() < .5 else range(max(0, size - 1500), size)
        for place in rng.choice(area, size=int(2 ** rng.integers(0, 5))):
            data[place] = int(rng.integers(256))
    return way, bytes(data)


def plainly(path: str) -> list[tuple[Optional[int], np.ndarray, bool]]:
    """Decode from the beginning as far as it goes: pts, image, whether called corrupt."""
    frames: list[tuple[Optional[int], np.ndarray, bool]] = []
    # One of its own: PyAV 19 shares one with threads, which waits for ever in a forked process.
    reformatter = VideoReformatter()
    try:
        with open_container(path) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            for packet in container.demux(stream):
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


def read(path: str, numbers: np.ndarray, max_filled: float) -> dict:
    """Read frames; say how it went."""
    try:
        reader = BACKENDS['pyav'](path, max_filled)
        wanted = np.unique((numbers * len(reader.times)).astype(int))
        images = reader.read(wanted.tolist())
    except VideoDecodeError as error:
        return dict(outcome='refused', reason=error.reason)
    except Exception:
        return dict(outcome='another error', reason=traceback.format_exc())
    return dict(outcome='read', reader=reader, wanted=wanted, images=images,
                reported=reader.damage is not None)


def at(frames: list, index: VideoIndex, number: int) -> tuple[Optional[np.ndarray], bool]:
    """Find the frame of a number, by time where the index goes by time."""
    if index.by_order:  # which counts whole frames
        whole = [frame for frame in frames if not frame[2]]
        return whole[number][1:] if number < len(whole) else (None, False)
    return next((frame[1:] for frame in frames if frame[0] == index.pts[number]), (None, False))


def resembles_another(image: np.ndarray, own: Optional[np.ndarray], frames: list) -> bool:
    """Say whether an image looks like the frame of another time rather than of its own.

    Neighbouring frames of the made videos differ by 30 to 50 levels on average.
    """
    def difference(other: Optional[np.ndarray]) -> float:
        if other is None or other.shape != image.shape:
            return 255.0
        return float(np.abs(other.astype(np.int16) - image).mean())
    nearest = min((difference(other) for _, other, _ in frames), default=255.0)
    return nearest < 8 and difference(own) > 2 * nearest + 1


def examine(path: str, original: list, rng: np.random.Generator) -> Counter:
    """Read one damaged file both ways and compare; see fuzz_decoding.py."""
    numbers = rng.random(6)
    strict, tolerant = read(path, numbers, 0.0), read(path, numbers, 0.5)
    counts = Counter({f'strict: {strict["outcome"]}': 1, f'tolerant: {tolerant["outcome"]}': 1})
    if strict['outcome'] == 'read':
        plain = plainly(path)
        index = strict['reader']._index
        for number, image in zip(strict['wanted'], strict['images']):
            shown, corrupt = at(plain, index, int(number))
            time = strict['reader'].times[number]
            undamaged = next((other for shown_at, other, _ in original
                              if abs(shown_at - time) < 0.01), None)
            counts['strict frames'] += 1
            counts['flagged'] += corrupt
            if not any(other is not None and np.array_equal(other, image)
                       for other in (shown, undamaged)):
                counts['another time'] += resembles_another(image, shown, plain)
            if undamaged is not None:
                counts['strict frames with a counterpart'] += 1
                if not np.array_equal(undamaged, image):
                    moved = resembles_another(image, undamaged, original)
                    counts['time damaged unnoticed' if moved else 'pixels damaged unnoticed'] += 1
    if tolerant['outcome'] == 'read':
        counts['tolerant: reported'] += tolerant['reported']
        counts['silent'] += not tolerant['reported'] and not (
            strict['outcome'] == 'read' and all(map(np.array_equal, strict['images'],
                                                    tolerant['images'])))
    for result in (strict, tolerant):
        if result['outcome'] == 'another error':
            print(result['reason'], file=sys.stderr)
            counts['another error'] += 1
    return counts


def work(sources: Path, seeds: range, log: Path, limit: int) -> None:
    """Examine files one by one; the log shows where the process ended, if it did."""
    av.logging.set_level(None)
    originals = {}
    with log.open('w') as lines:
        for seed in seeds:
            lines.write(json.dumps(dict(seed=seed)) + '\n')
            lines.flush()
            rng = np.random.default_rng(seed)
            name = list(SOURCES)[int(rng.integers(len(SOURCES)))]
            if name not in originals:
                originals[name] = [(number / 25, image, False) for number, (_, image, _) in
                                   enumerate(plainly(str(sources / name)))]
            way, content = damage((sources / name).read_bytes(), rng)
            path = log.with_suffix(Path(name).suffix)
            path.write_bytes(content)
            signal.alarm(limit)  # ends the process, also while it is in C
            counts = examine(str(path), originals[name], rng)
            signal.alarm(0)
            lines.write(json.dumps(dict(seed=seed, name=name, way=way, counts=counts)) + '\n')


def fuzz(num_files: int, first_seed: int, workers: int, limit: int, folder: Path) -> dict:
    """Examine files in processes; see fuzz_decoding.py.

    Returns:
        dict: ``total`` counts, and those by ``source`` and by ``way`` of damage.
    """
    for name, how in SOURCES.items():
        make_video(folder / name, **how)
    end = first_seed + num_files
    pending = [range(start, min(start + 250, end)) for start in range(first_seed, end, 250)]
    running: dict[multiprocessing.Process, tuple[range, Path]] = {}
    tables: dict[str, dict[str, Counter]] = dict(total={}, source={}, way={})
    suspects: dict[str, list[int]] = {}
    with tqdm(total=num_files, desc='damaged files', mininterval=1) as progress:
        while pending or running:
            while pending and len(running) < workers:
                seeds = pending.pop(0)
                log = folder / f'{seeds.start}.jsonl'
                process = multiprocessing.Process(target=work, args=(folder, seeds, log, limit))
                process.start()
                running[process] = seeds, log
            next(iter(running)).join(0.5)
            for process in [process for process in running if process.exitcode is not None]:
                seeds, log = running.pop(process)
                lines = [json.loads(line) for line in log.read_text().splitlines()]
                if process.exitcode:
                    kind = 'hang' if process.exitcode == -signal.SIGALRM else 'crash'
                    seed = lines[-1]['seed']
                    lines.append(dict(seed=seed, name='?', way='?', counts={kind: 1}))
                    if seed + 1 < seeds.stop:
                        pending.append(range(seed + 1, seeds.stop))
                for line in lines:
                    if 'counts' not in line:
                        continue
                    progress.update()
                    for table, key in (('total', 'all'), ('source', line['name']),
                                       ('way', line['way'])):
                        tables[table].setdefault(key, Counter()).update(files=1, **line['counts'])
                    for fault in FAULTS:
                        if line['counts'].get(fault):
                            suspects.setdefault(fault, []).append(line['seed'])
    return dict(total=tables['total']['all'], source=tables['source'], way=tables['way'],
                suspects=suspects)
