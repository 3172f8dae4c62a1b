"""Compare the cost of ranking with the bare matrix product, side by side.

    python tools/analysis_tools/benchmark_ranks.py            # MSR-VTT full: 59,800 x 2,990 x 1,024

CPU seconds are those of the process, all threads. Memory is the peak of the process beyond what
it held before, inputs included there.
"""
import statistics
import sys
import time
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1]))
from command_line import Parser, positive_int, run


def unit_vectors(rng: np.random.Generator, count: int, width: int) -> np.ndarray:
    """Return (count, width) float32 unit vectors."""
    values = rng.standard_normal((count, width), dtype=np.float32)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    return values


def bare_product(text: np.ndarray, video: np.ndarray, rows: int) -> None:
    """Multiply block by block, which is faster than at once and holds one block alone."""
    for start in range(0, len(text), rows):
        text[start:start + rows] @ video.T


def memory(kind: str) -> float:
    """Return MB of this process: 'VmRSS' held now, 'VmHWM' at most since the last reset."""
    with open('/proc/self/status') as status:
        return next(int(line.split()[1]) for line in status if line.startswith(kind)) / 1e3


def measure(function) -> tuple[float, float]:
    """Return CPU seconds and peak MB beyond what was held before."""
    with open('/proc/self/clear_refs', 'w') as reset:
        reset.write('5')  # resets VmHWM
    before, start = memory('VmRSS'), time.process_time()
    function()
    return time.process_time() - start, memory('VmHWM') - before


def main() -> None:
    """Measure in turns and print medians."""
    parser = Parser(__doc__)
    parser.add_argument('--videos', type=positive_int, default=2990,
                        help='number of videos; default 2990')
    parser.add_argument('--captions-per-video', type=positive_int, default=20,
                        help='captions of each video; default 20')
    parser.add_argument('--width', type=positive_int, default=1024,
                        help='numbers an embedding has; default 1024')
    parser.add_argument('--repeats', type=positive_int, default=5,
                        help='measured rounds; default 5')
    args = parser.parse_args()
    from mmc2v.evaluation import retrieval_ranks

    rng = np.random.default_rng(0)
    video = unit_vectors(rng, args.videos, args.width)
    owner = np.repeat(np.arange(args.videos), args.captions_per_video)
    text = unit_vectors(rng, len(owner), args.width)
    for source, copy in rng.integers(len(text), size=(len(text) // 20, 2)):
        text[copy] = text[source]  # as in real data, some captions are equal
    rows = max(1, 2 ** 23 // (4 * args.videos))
    functions = {'bare product': lambda: bare_product(text, video, rows),
                 'both directions': lambda: retrieval_ranks(
                     text, video, owner, np.arange(args.videos))}
    results: dict[str, list] = {name: [] for name in functions}
    for _ in range(args.repeats + 1):  # the first warms up
        for name, function in functions.items():
            results[name].append(measure(function))
    print(f'{len(text)} captions x {args.videos} videos, width {args.width}, float32')
    seconds = {}
    for name, values in results.items():
        seconds[name] = statistics.median(value for value, _ in values[1:])
        peak = max(value for _, value in values[1:])
        print(f'{name:16} {seconds[name]:7.2f} CPU s   {peak:7.1f} MB beyond the inputs')
    print(f'ratio            {seconds["both directions"] / seconds["bare product"]:7.2f}')


if __name__ == '__main__':
    run(main)
