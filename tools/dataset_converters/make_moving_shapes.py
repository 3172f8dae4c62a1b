"""Write a generated data set of moving shapes.

    python tools/dataset_converters/make_moving_shapes.py --out data/moving_shapes
    python tools/dataset_converters/make_moving_shapes.py --events --out data/moving_events
    python tools/dataset_converters/make_moving_shapes.py --long --out data/long_moving_shapes

With --events there are five kinds of captions (static, direction, order, size, speed) instead of
direction alone. With --long the test events are joined to videos of about a minute, for search:
moments.json says what happens when.
"""
import sys
from dataclasses import fields
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))
from command_line import Parser, run

from mmc2v.synthetic.long_videos import LongVideos, write_long_videos
from mmc2v.synthetic.moving_events import MovingEvents, MovingShapes
from mmc2v.synthetic.writing import write_dataset

HELP = {
    'num_train': 'training videos, with --events of each kind',
    'num_test_pairs': 'pairs of twins in the test set, with --events of each kind',
    'phrasings': 'captions of each video, 1 to 4',
    'num_frames': 'frames of each video, at 5 fps; with --events even',
    'size': 'side of the square frames in pixels, even, at least 16',
    'num_pairs': 'pairs of twins, each in one video',
    'pairs_per_video': 'pairs of twins in a video',
    'most_idle': 'seconds between two events, at most',
    'seed': 'seed of all random choices',
}


def main() -> None:
    """Parse the command line and write."""
    spec, name = MovingShapes, MovingShapes.name
    if '--long' in sys.argv:
        spec, name = LongVideos, 'long_moving_shapes'
    elif '--events' in sys.argv:
        spec, name = MovingEvents, MovingEvents.name
    parser = Parser(__doc__, allow_abbrev=False)  # the flags are looked for by their names
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument('--events', action='store_true', help='five kinds of captions')
    kind.add_argument('--long', action='store_true', help='long videos with known moments')
    parser.add_argument('--out', type=Path, default=Path('data') / name,
                        help=f'folder to write; default data/{name}')
    for field in (field for field in fields(spec) if field.init):
        parser.add_argument(f'--{field.name.replace("_", "-")}', type=type(field.default),
                            default=field.default,
                            help=f'{HELP[field.name]}; default {field.default}')
    parser.add_argument('--overwrite', action='store_true',
                        help='replace what was made with other numbers')
    args = vars(parser.parse_args())
    out, overwrite = args.pop('out'), args.pop('overwrite')
    del args['events'], args['long']
    write = write_long_videos if spec is LongVideos else write_dataset
    written = write(out, spec(**args), overwrite)
    print(f'{out}: {"written" if written else "already there, unchanged"}')


if __name__ == '__main__':
    run(main)
