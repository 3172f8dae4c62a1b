"""Measure every way to run a model's towers on this CPU, side by side.

    python tools/analysis_tools/benchmark_inference.py CONFIG [CHECKPOINT]
    python tools/analysis_tools/benchmark_inference.py configs/clip2video_msrvtt.py --batch-sizes 1

Each way has a process of its own and they take turns; a ratio is the median over rounds of torch in
float32 by that way. Least cosines are those of 16 videos of noise and 16 captions with torch in
float32. Then the time from command to answer of tools/search.py query, with an index of one made
video. Without a checkpoint weights are random.
"""
from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.append(str(Path(__file__).resolve().parents[1]))
from command_line import Parser, add_cfg_options, positive_int, run

if TYPE_CHECKING:
    import numpy as np
    from inference_ways import Way

_MOST = 16  # videos and captions for parity


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    from inference_ways import NAMES
    parser = Parser(__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', nargs='?', help='its checkpoint; default random weights')
    parser.add_argument('--batch-sizes', type=positive_int, nargs='+', default=[1, _MOST],
                        help=f'videos, and captions, that are encoded at once; default 1 {_MOST}')
    parser.add_argument('--repeats', type=positive_int, default=5, help='rounds; default 5')
    parser.add_argument('--ways', nargs='+', choices=NAMES, default=list(NAMES),
                        help='those to measure; default all')
    add_cfg_options(parser)
    return parser.parse_intermixed_args()


def measure(ways: list[Way], kind: str, size: int, repeats: int) -> dict[str, tuple[float, float]]:
    """Return the median milliseconds of each way, and how many times as fast as the first it is.

    Args:
        ways (list[Way]): Of which the first is what the others are compared with.
        kind (str): 'video' or 'text'.
        size (int): Of the batch.
        repeats (int): Rounds.
    """
    from mmc2v.progress import progress
    rounds = []
    for number in progress(range(repeats + 1), f'{kind} x {size}', ' rounds'):
        times = {way.name: way.seconds(kind, size) for way in ways}
        if number:  # the first warms up
            rounds.append(times)
    first = ways[0].name
    return {way.name: (1000 * statistics.median(times[way.name] for times in rounds),
                       statistics.median(times[first] / times[way.name] for times in rounds))
            for way in ways}


def least_cosine(one: np.ndarray, other: np.ndarray) -> float:
    """Return the least cosine between rows of two (N, D) arrays of unit vectors."""
    return float((one.astype(float) * other).sum(1).min())


def report(ways: list[Way], args: argparse.Namespace) -> None:
    """Measure all ways and print a table."""
    columns = [(kind, size) for kind in ('video', 'text') for size in args.batch_sizes]
    found = {column: measure(ways, *column, args.repeats) for column in columns}
    vectors = [{kind: way.vectors(kind) for kind in ('video', 'text')} for way in ways]
    print('\n' + 'ms a batch (times as fast)'.ljust(26)
          + ''.join(f'{kind} x {size}'.rjust(19) for kind, size in columns)
          + '  least cosine of videos, of captions    load s   MiB')
    for way, of_way in zip(ways, vectors):
        cells = ''.join('{:11.1f} ({:5.2f})'.format(*found[column][way.name])
                        for column in columns)
        cosines = ''.join(f'{least_cosine(found_vectors, vectors[0][kind]):16.6f}'
                          for kind, found_vectors in of_way.items())
        print(f'{way.name:26}{cells}{cosines}{way.load_seconds:16.1f}{way.memory():6.0f}',
              flush=True)


def time_questions(folder: Path, repeats: int) -> None:
    """Print the time from command to answer, by the model and by its exported form.

    Args:
        folder (Path): With config.py, model.pth, exported/.
        repeats (int): Of each, in turns.
    """
    import numpy as np

    from mmc2v.search import VideoSearch
    from mmc2v.synthetic.writing import write_video
    index = str(folder / 'my.index')
    (folder / 'videos').mkdir()
    shades = np.arange(0, 200, 20, dtype=np.uint8)[:, None, None, None]
    write_video(folder / 'videos' / 'made.mp4', np.broadcast_to(shades, (10, 96, 128, 3)))
    with VideoSearch(index, str(folder / 'config.py'), str(folder / 'model.pth'), device='cpu',
                     precision='float32') as search:
        search.add(folder / 'videos', workers=1)
    command = [sys.executable, '-m', 'mmc2v.search', 'query', 'a dog jumps', '--index', index]
    kinds = {'the model': [], 'its exported form': ['--config', str(folder / 'exported')]}
    times: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(repeats):
        for name, options in kinds.items():
            start = time.perf_counter()
            subprocess.run([*command, *options], check=True, stdout=subprocess.DEVNULL)
            times[name].append(time.perf_counter() - start)
    print('\nfrom command to answer of a question, s: ' + ', '.join(
        f'{name} {statistics.median(values):.2f}' for name, values in times.items()))


def main() -> None:
    """Measure as the command line says."""
    args = parse_args()
    import inference_ways
    import torch

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        inference_ways.prepare(folder, args.config, args.checkpoint, args.cfg_options, _MOST)
        names = dict.fromkeys([inference_ways.NAMES[0], *args.ways])
        ways = [inference_ways.Way(name, folder) for name in names]
        try:
            print(f'{args.config}, torch {torch.__version__}, {torch.get_num_threads()} threads',
                  flush=True)
            report(ways, args)
        finally:
            for way in ways:
                way.end()
        time_questions(folder, args.repeats)


if __name__ == '__main__':
    run(main)
