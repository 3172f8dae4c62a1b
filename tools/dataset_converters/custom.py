r"""Prepare your own videos and captions.

    python tools/dataset_converters/custom.py --captions captions.csv --videos data/custom/videos \
        --out data/custom

Reads a .csv or .tsv with the columns video, caption and, if you have chosen, split (train, val,
test); a .jsonl with one such object a row; or a .json with a list of them, or with
{"video.mp4": ["caption", ...]}. A video has as many captions as it has rows. Videos are file names
with or without extension, relative to --videos, or absolute paths in it. Without a split, videos
are divided at random, each with all its captions.
"""
from pathlib import Path

from preparation import (
    Published,
    RandomSplit,
    convert,
    converter_parser,
    read_own_data,
    run_tool,
)

UNPUBLISHED = {split: Published(None, None) for split in ('train', 'val', 'test')}


def main() -> None:
    """Convert as the command line says."""
    parser = converter_parser(__doc__)
    parser.add_argument('--captions', type=Path, required=True, metavar='FILE',
                        help='.csv, .tsv, .json or .jsonl, in UTF-8')
    parser.add_argument('--val-share', type=float, metavar='SHARE',
                        help='share of the videos for validation, where the file has no split; '
                        f'default {RandomSplit.val_share}')
    parser.add_argument('--test-share', type=float, metavar='SHARE',
                        help=f'likewise for the test; default {RandomSplit.test_share}')
    parser.add_argument('--seed', type=int, help=f'likewise; default {RandomSplit.seed}')
    args = parser.parse_args()
    given = {name: value for name in ('val_share', 'test_share', 'seed')
             if (value := getattr(args, name)) is not None}
    run_tool(lambda: convert(args, 'own data', 'custom', '.mp4', UNPUBLISHED, lambda conversion:
                             read_own_data(conversion, args.captions, args.videos,
                                           RandomSplit(**given) if given else None)))


if __name__ == '__main__':
    main()
