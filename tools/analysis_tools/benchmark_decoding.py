"""Compare the cost of reading 12 frames of a video, and check that they are the right ones.

    python tools/analysis_tools/benchmark_decoding.py [FOLDER_OR_FILES ...]

Measures CPU time of this process, with one thread, file by file and way by way in turn, and prints
medians and their ratio to MMAction2's pipeline (DecordInit, UniformSample, DecordDecode, Resize of
the short side to 256, CenterCrop of 224). Without arguments it makes H.264 videos of 320x240 (20 s)
and 1280x720 (10 s) in a temporary folder. Every file is also decoded from its beginning, and the
frames of each backend are compared with those. The cache is the one of tools/cache_videos.py.

With --worker-memory N it measures something else: a worker of a data loader reads the first video,
or one made of 3840x2160 (2 s), N times, and memory and open descriptors are printed. Linux only.
"""
from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import av
import cv2
import numpy as np
from tqdm import tqdm

sys.path.append(str(Path(__file__).resolve().parents[1]))
from command_line import Parser, positive_int, run

if TYPE_CHECKING:
    from mmengine.dataset import Compose

NUM_FRAMES = 12
CACHE = 'mmc2v, frame cache'


def make_video(path: Path, width: int, height: int, seconds: int, seed: int) -> None:
    """Write an H.264 video with camera motion, moving objects, cuts and noise."""
    rng = np.random.default_rng(seed)
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('libx264', rate=25, options=dict(crf='23'))
        stream.width, stream.height, stream.pix_fmt = width, height, 'yuv420p'
        for number in range(25 * seconds):
            if number % 75 == 0:  # a cut every three seconds
                canvas = rng.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
                canvas = cv2.resize(canvas, (3 * width, 3 * height),
                                    interpolation=cv2.INTER_CUBIC)
                speed = rng.integers(-2, 3, 2)
            left, top = (side + int(step) * (number % 75) for side, step in
                         zip((width, height), speed))
            frame = canvas[top:top + height, left:left + width].astype(np.int16)
            x, y = (width * (number % 50) // 60, height * (number % 35) // 60)
            frame[y:y + height // 4, x:x + width // 5] = rng.integers(60, 200, 3)
            frame += rng.integers(-4, 5, (height, width, 1), dtype=np.int16)
            image = av.VideoFrame.from_ndarray(np.clip(frame, 0, 255).astype(np.uint8), 'rgb24')
            container.mux(stream.encode(image))
        container.mux(stream.encode())


def pipelines() -> dict[str, Callable[[dict], dict]]:
    """Return the ways that are compared, the first being the reference of ratios."""
    from mmaction.registry import TRANSFORMS
    from mmengine.dataset import Compose

    from mmc2v.datasets.transforms import BACKENDS

    def ours(backend: str) -> Compose:
        return Compose([
            dict(type='mmc2v.OpenVideo', backend=backend),
            dict(type='mmc2v.SampleGridFrames', num_frames=NUM_FRAMES),
            dict(type='mmc2v.DecodeFrames'), dict(type='mmc2v.ResizeCenterCrop', size=224)])

    stock = Compose([TRANSFORMS.build(step) for step in (
        dict(type='DecordInit', num_threads=1),
        dict(type='UniformSample', clip_len=NUM_FRAMES, num_clips=1, test_mode=True),
        dict(type='DecordDecode'), dict(type='Resize', scale=(-1, 256)),
        dict(type='CenterCrop', crop_size=224))])
    return {'MMAction2, decord': stock,
            **{f'mmc2v, {backend}': ours(backend) for backend in sorted(BACKENDS, reverse=True)}}


def measure(paths: list[Path], cached: dict[Path, Path], repeats: int,
            ) -> dict[str, dict[Path, float]]:
    """Return the median CPU seconds of each way on each file."""
    ways = pipelines()
    ways[CACHE] = ways['mmc2v, pyav']
    times: dict[str, dict[Path, list[float]]] = {
        name: {path: [] for path in paths} for name in ways}
    for repeat in tqdm(range(repeats + 1), desc='measuring', unit='round'):
        for path in paths:
            for name, pipeline in ways.items():
                filename = str(cached[path] if name == CACHE else path)
                start = time.process_time()
                pipeline(dict(filename=filename, start_index=0, modality='RGB'))
                if repeat > 0:  # the first loads what is loaded once
                    times[name][path].append(time.process_time() - start)
    return {name: {path: statistics.median(values) for path, values in by_path.items()}
            for name, by_path in times.items()}


def differences(path: Path, backend: str) -> tuple[int, int]:
    """Compare frames with those of decoding from the beginning.

    Returns:
        tuple[int, int]: Frames compared and the largest difference of a pixel, -1 where the number
        of frames differs.
    """
    from mmc2v.datasets.transforms import BACKENDS

    with av.open(str(path)) as container:
        number_of_frames, expected = 0, {}
        for number_of_frames, frame in enumerate(container.decode(video=0), 1):
            if number_of_frames % 7 == 0:
                expected[number_of_frames - 1] = frame.to_ndarray(format='rgb24')
    reader = BACKENDS[backend](str(path))
    if len(reader.times) != number_of_frames:
        return len(expected), -1
    found = reader.read(list(expected))
    return len(found), max(int(np.abs(a.astype(np.int16) - b).max())
                           for a, b in zip(found, expected.values()))


def main() -> None:
    """Measure and print."""
    parser = Parser(__doc__)
    parser.add_argument('videos', nargs='*', type=Path, help='videos or folders of videos')
    parser.add_argument('--repeats', type=positive_int, default=9,
                        help='measured rounds; default 9')
    parser.add_argument('--made', type=positive_int, default=3,
                        help='videos made of either size where none is given; default 3')
    parser.add_argument('--worker-memory', type=positive_int, metavar='N',
                        help='measure what a worker holds over this many reads instead')
    args = parser.parse_args()
    import torch
    from mmengine.registry import init_default_scope

    from mmc2v.annotations import VIDEO_EXTENSIONS

    missing = [str(path) for path in args.videos if not path.exists()]
    if missing:
        raise FileNotFoundError(f'there is no {missing[0]}')
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    init_default_scope('mmaction')
    with tempfile.TemporaryDirectory() as folder:
        if args.worker_memory:
            report_worker(args.videos[0] if args.videos else None, args.worker_memory,
                          Path(folder, '3840x2160.mp4'))
            return
        if args.videos:
            groups = {str(given): sorted(
                path for path in (given.rglob('*') if given.is_dir() else [given])
                if path.suffix.lower() in VIDEO_EXTENSIONS) for given in args.videos}
        else:
            groups = {}
            for width, height, seconds in ((320, 240, 20), (1280, 720, 10)):
                paths = [Path(folder, f'{width}x{height}_{seed}.mp4') for seed in range(args.made)]
                for seed, path in enumerate(tqdm(paths, desc=f'making {width}x{height}')):
                    make_video(path, width, height, seconds, seed)
                groups[f'made, {width}x{height}, {seconds} s'] = paths
        if not any(groups.values()):
            raise ValueError(f'there is no video in {[str(path) for path in args.videos]}')
        report(groups, args.repeats, Path(folder))


def report_worker(path: Path | None, reads: int, made: Path) -> None:
    """Print what a worker holds that reads a video, or the one that is made."""
    from worker_memory import measure_worker

    if path is None:
        make_video(made, 3840, 2160, seconds=2, seed=0)
    for number, (memory, descriptors) in measure_worker(path or made, reads).items():
        print(f'after {number:5} reads: {memory:6.0f} MiB, {descriptors} descriptors')


def report(groups: dict[str, list[Path]], repeats: int, folder: Path) -> None:
    """Print a table for each group of files."""
    from mmc2v.datasets.frame_cache import CacheSettings, cache_video
    from mmc2v.datasets.transforms import BACKENDS, VideoDecodeError

    settings = CacheSettings(224, NUM_FRAMES, 1, 5.0, None)
    cached = {path: folder / 'cache' / f'{number}{path.suffix}' for number, path in
              enumerate(path for paths in groups.values() for path in paths)}
    for path, target in tqdm(cached.items(), desc='caching'):
        cache_video(str(path), str(target), settings)
    times = measure(list(cached), cached, repeats)
    reference = next(iter(times.values()))
    for title, paths in groups.items():
        print(f'\n{title}: {len(paths)} videos, CPU ms a video (median), ratio of {repeats} rounds')
        for name, by_path in times.items():
            ratios = [reference[path] / by_path[path] for path in paths]
            print(f'  {name:20} {statistics.median(by_path[path] for path in paths) * 1e3:8.1f}'
                  f'   {statistics.median(ratios):5.2f} ({min(ratios):.2f}-{max(ratios):.2f})')
        sizes = [cached[path].stat().st_size / len(BACKENDS['pyav'](str(cached[path])).times)
                 for path in paths]
        print(f'  cache: {statistics.median(sizes) * NUM_FRAMES / 1e3:.0f} kB for {NUM_FRAMES} '
              f'frames, {statistics.median(sizes) * settings.candidates / 1e3:.0f} kB for '
              f'{settings.candidates}')
        for backend in sorted(BACKENDS, reverse=True):
            compared, worst, failed = 0, 0, []
            for path in paths:
                try:
                    count, difference = differences(path, backend)
                except VideoDecodeError as error:
                    failed.append(str(error))
                    continue
                compared += count
                worst = max(worst, difference) if difference >= 0 else 255
            print(f'  {backend}: {compared} frames against decoding from the beginning, largest '
                  f'difference {worst}' + ''.join(f'\n    {line}' for line in failed))


if __name__ == '__main__':
    run(main)
