"""Write a model's towers as files that run without torch and MMAction2.

    python tools/export.py CONFIG CHECKPOINT --out DIR
    python tools/export.py CONFIG CHECKPOINT --out DIR --format pt2

DIR gets the towers, the tokenizer and model.json with all that an application needs to feed them.
DIR then stands for the model: mmc2v.apis.init_model('DIR'), tools/search.py query --config DIR.
Without a checkpoint the model starts from the config's CLIP weights.
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent))
from command_line import Parser, add_cfg_options, run

# Between numbers of unit vectors; above it a graph does something else than its model.
_TOLERANCE = 1e-4


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', nargs='?', help="checkpoint of the config's model; default "
                        "the config's CLIP weights")
    parser.add_argument('--out', type=Path, required=True, help='folder to write; an exported '
                        'model that is there is replaced')
    parser.add_argument('--format', choices=['onnx', 'pt2'], default='onnx',
                        help="onnx: for ONNX Runtime and OpenVINO, needs pip install "
                        "'mmc2v[export]'; pt2: for torch alone; default onnx")
    add_cfg_options(parser)
    return parser.parse_intermixed_args()  # options may stand between config and checkpoint


def main() -> None:
    """Export, and say what was written and how far it agrees."""
    args = parse_args()
    from mmc2v.apis import init_model
    from mmc2v.config_reading import read_config
    from mmc2v.export.describing import export_model
    config = read_config(args.config, args.cfg_options, needs=['model', 'test_dataloader'])
    model = init_model(config, args.checkpoint)
    name = Path(args.config.split('::')[-1]).stem
    if args.checkpoint:
        name += f' with {Path(args.checkpoint).name}'
    print('making graphs; this takes a minute or two ...', flush=True)
    made = export_model(model, args.out, args.format, name)
    for path in sorted(args.out.iterdir()):
        print(f'{path}  {path.stat().st_size / 1e6:.3f} MB')
    print(f'largest difference from the model: {made["difference"]:.1e}')
    if made['difference'] > _TOLERANCE:
        raise ValueError(f"what was written to '{args.out}' is not the model: numbers of unit "
                         f'vectors differ by more than {_TOLERANCE}')


if __name__ == '__main__':
    run(main)
