"""Write the moving-shapes data set.

python tools/dataset_converters/make_moving_shapes.py --out data/moving_shapes
"""
import argparse
from dataclasses import fields
from pathlib import Path

from mmc2v.datasets.moving_shapes import MovingShapes, write_moving_shapes


def main() -> None:
    """Parse the command line and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', type=Path, default=Path('data/moving_shapes'))
    for field in fields(MovingShapes):
        parser.add_argument(f'--{field.name.replace("_", "-")}', type=int, default=field.default)
    parser.add_argument('--overwrite', action='store_true',
                        help='replace moving shapes that were made with other numbers')
    args = vars(parser.parse_args())
    out, overwrite = args.pop('out'), args.pop('overwrite')
    written = write_moving_shapes(out, MovingShapes(**args), overwrite)
    print(f'{out}: {"written" if written else "already there, unchanged"}')


if __name__ == '__main__':
    main()
