"""Measure whether a model sees the order of time: pairs of videos with the same frames, reversed.

    python tools/analysis_tools/order_benchmark.py CONFIG CHECKPOINT       # a model of ours
    python tools/analysis_tools/order_benchmark.py EXPORTED_FOLDER
    python tools/analysis_tools/order_benchmark.py --mteb microsoft/xclip-base-patch32
    python tools/analysis_tools/order_benchmark.py                         # only makes the videos
    python tools/analysis_tools/order_benchmark.py --embeddings FILE.npz   # of any program

The videos are generated once, with pairs.json. docs/order_benchmark.md says what the figures are.
"""
import argparse
import sys
from pathlib import Path

from order_benchmark_report import result_lines

sys.path.append(str(Path(__file__).resolve().parents[1]))
from command_line import Parser, non_negative_float, positive_int, run
from command_line import seed as seed_number


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(__doc__)
    parser.add_argument('config', nargs='?', help='config of a model, or folder of an exported one')
    parser.add_argument('checkpoint', nargs='?', help='its checkpoint; without one it starts from '
                        "the config's CLIP weights")
    parser.add_argument('--mteb', metavar='NAME', help="a model of mteb's registry instead")
    parser.add_argument('--embeddings', type=Path, metavar='FILE', help='.npz instead: video and '
                        'text, one row each, or scores, captions by videos')
    parser.add_argument('--data', type=Path, default=Path('data/order_benchmark'), help='folder of '
                        'the videos, made where it is missing; default data/order_benchmark')
    parser.add_argument('--num-pairs', type=positive_int,
                        help='pairs of each kind, at most 120; default 96')
    parser.add_argument('--phrasings', type=positive_int,
                        help='sentences for each video, at most 4; default 2')
    parser.add_argument('--num-frames', type=positive_int,
                        help='frames of each video, even, 5 a second; default 8')
    parser.add_argument('--size', type=positive_int,
                        help='side of the square frames in pixels, even; default 64')
    parser.add_argument('--seed', type=seed_number,
                        help='seed of all random choices; default 0')
    parser.add_argument('--overwrite', action='store_true',
                        help='replace videos made with other numbers')
    parser.add_argument('--tolerance', type=non_negative_float, default=1e-5,
                        help='scores of twins that differ by no more than this share of the '
                        'largest score tie; default 1e-05')
    parser.add_argument('--batch-size', type=positive_int, default=16,
                        help='videos at a time; default 16')
    parser.add_argument('--device', help="where the model runs; default cpu, with --mteb the "
                        "model's own choice")
    parser.add_argument('--name', help="what tables call it; default the config's, the model's or "
                        "the file's name")
    parser.add_argument('--out', type=Path, help='write the figures to this file: Markdown where '
                        'it ends in .md, otherwise JSON')
    args = parser.parse_args()
    if sum(value is not None for value in (args.config, args.mteb, args.embeddings)) > 1:
        parser.error('give a config, --mteb or --embeddings, one of them')
    return args


def make_data(args: argparse.Namespace) -> None:
    """Write the videos, unless they are there and no other numbers are asked for."""
    from mmc2v.synthetic.twin_pairs import TwinPairs, write_twin_pairs

    given = {name: value for name in ('num_pairs', 'phrasings', 'num_frames', 'size', 'seed')
             if (value := getattr(args, name)) is not None}
    if given or not (args.data / 'pairs.json').is_file():
        write_twin_pairs(args.data, TwinPairs(**given), args.overwrite)


def main() -> None:
    """Make the data, score, print and write."""
    args = parse_args()
    make_data(args)
    from twin_scoring import measure, score_embeddings, score_model

    from mmc2v.synthetic.twin_pairs import read_twin_pairs
    from mmc2v.whole_files import to_json, write_whole

    twins = read_twin_pairs(args.data)
    if args.mteb:
        from mteb_scoring import score_by_name

        name, scored = args.mteb, score_by_name(args.mteb, args.device, twins, args.batch_size)
    elif args.embeddings:
        name, scored = args.embeddings.stem, score_embeddings(args.embeddings, twins)
    elif args.config:
        name = Path(args.config).stem
        scored = score_model(args.config, args.checkpoint, args.device or 'cpu', twins,
                             args.batch_size)
    else:
        print(f'{args.data}: {len(twins.kinds)} pairs, {len(twins.videos)} videos, '
              f'{len(twins.captions)} captions; name a model to measure it')
        return
    result = dict(name=args.name or name, **measure(scored, twins, args.tolerance))
    lines = result_lines(result)
    if args.out:
        write_whole(args.out, '\n'.join([*lines, '']).encode() if args.out.suffix == '.md'
                    else to_json(result))
    print('\n'.join(lines))


if __name__ == '__main__':
    run(main)
