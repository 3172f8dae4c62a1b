"""Measure whether search finds the right moment, where its reversed twin happens in the same video.

    python tools/dataset_converters/make_moving_shapes.py --long
    python tools/analysis_tools/benchmark_moments.py \
        --model configs/clip2video_moving_shapes.py work_dirs/demo/clip2video_moving_shapes \
        --model configs/meanpool_moving_shapes.py work_dirs/demo/meanpool_moving_shapes

Windows are as long as an event. A moment is found where the best window of the video, or of all
videos, overlaps it with an intersection over union of at least 0.5.
"""
import argparse
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))
from command_line import Parser, non_negative_float, run


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(__doc__)
    parser.add_argument('--data', type=Path, default=Path('data/long_moving_shapes'),
                        help='folder of long videos; default data/long_moving_shapes')
    parser.add_argument('--model', nargs=2, action='append', required=True,
                        metavar=('CONFIG', 'WORK_DIR'), help='a config and its work dir')
    parser.add_argument('--strides', nargs='+', type=non_negative_float, default=[1, 0.5, 0.25],
                        help='strides, in windows; default 1 0.5 0.25')
    parser.add_argument('--precision', choices=['float32', 'bfloat16'], default='float32',
                        help='of the towers; default float32')
    return parser.parse_args()


def overlap(moment: object, start: float, end: float) -> float:
    """Return the intersection over union of a moment with a span."""
    shared = min(moment.end, end) - max(moment.start, start)
    return max(0.0, shared) / (max(moment.end, end) - min(moment.start, start))


def measure(search: object, moments: dict[str, list[dict]], folder: Path) -> Counter:
    """Ask for every caption; count what was found."""
    counts: Counter = Counter()
    for name, events in moments.items():
        path = str((folder / name).absolute())
        for event in events:
            hits = search.search(event['caption'], top=len(moments), per_video=1)
            twin = next(other for other in events
                        if other['group'] == event['group'] and other is not event)
            inside = next(hit for hit in hits if path in hit.paths).moments[0]
            first = hits[0]
            counts['queries'] += 1
            counts['in the video'] += overlap(inside, event['start'], event['end']) >= 0.5
            counts['its twin'] += overlap(inside, twin['start'], twin['end']) >= 0.5
            counts['over all'] += path in first.paths and overlap(
                first.moments[0], event['start'], event['end']) >= 0.5
    return counts


def main() -> None:
    """Index by each model and stride, ask, and print a table."""
    args = parse_args()
    from mmengine.runner import find_latest_checkpoint

    from mmc2v.search import VideoSearch

    moments = json.loads((args.data / 'moments.json').read_text())
    window = max(event['end'] - event['start'] for events in moments.values() for event in events)
    print(f'{len(moments)} videos, windows of {window:g} s; R@1 at IoU 0.5 in percent')
    print('model                           stride  queries  in the video  its twin  over all')
    for config, work_dir in args.model:
        checkpoint = find_latest_checkpoint(work_dir)
        if checkpoint is None:
            raise FileNotFoundError(f"there is no checkpoint in '{work_dir}'")
        for stride in args.strides:
            with tempfile.TemporaryDirectory() as folder, VideoSearch(
                    Path(folder, 'index'), config, checkpoint, window=window,
                    stride=window * stride, precision=args.precision) as search:
                search.add(args.data)
                counts = measure(search, moments, args.data)
            shares = [100 * counts[key] / counts['queries']
                      for key in ('in the video', 'its twin', 'over all')]
            print(f'{Path(config).stem:30}  {stride:6g}  {counts["queries"]:7}  '
                  f'{shares[0]:12.1f}  {shares[1]:8.1f}  {shares[2]:8.1f}', flush=True)


if __name__ == '__main__':
    run(main)
