r"""Turn a checkpoint of the CLIP2Video authors into one of ours.

    python tools/model_converters/clip2video_to_mmc2v.py pytorch_model.bin.2 msrvtt9k.pth \
        --config configs/clip2video_msrvtt.py

The config says which variant the checkpoint is of. A key that the variant needs and the file has
not, a key of the file that the variant has not, and a tensor of another shape are errors.
"""
from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.append(str(Path(__file__).resolve().parents[1]))
from command_line import Parser, add_cfg_options, run

if TYPE_CHECKING:
    from torch import Tensor

# Ours begins with -> theirs begins with. The first that fits counts.
PREFIXES = {
    'backbone.visual.': 'clip.visual.',
    'text_backbone.': 'clip.',
    'neck.position_embedding.': 'frame_position_embeddings.',
    'neck.type_embedding.': 'type_position_embeddings.',
    'neck.transformer.': 'transformerClip.',
    'neck.difference_encoder.transformer.': 'frame2t_attention.',
    'neck.difference_encoder.projection': 'frame2t_projection',
    'neck.difference_encoder.norm.': 'trans_layernorm.',
    'neck.local_branch.transformer.': 'actionClip.',
    'head.alignment.': '',
    'head.logit_scale': 'clip.logit_scale',
}


def authors_key(name: str) -> str:
    """Return the authors' name of one of our parameters.

    Raises:
        ValueError: If the parameter belongs to a part that the published code does not have.
    """
    for ours, theirs in PREFIXES.items():
        if name.startswith(ours):
            return theirs + name[len(ours):]
    raise ValueError(f"the config's model has the parameter '{name}', which no variant of the "
                     'published code has; use one of the clip2video configs')


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read ``pytorch_model.bin.N`` (weights only) or an ``.npz`` of the same keys.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a checkpoint.
    """
    import numpy as np
    import torch

    from mmc2v.checkpoint_reading import read_checkpoint_file
    from mmc2v.first_line import first_line_of

    if not path.is_file():
        raise FileNotFoundError(f'{path} is not a file')
    if path.suffix == '.npz':
        try:
            with np.load(path, allow_pickle=False) as arrays:
                state: Mapping = {key: torch.from_numpy(arrays[key]) for key in arrays.files}
        except Exception as error:  # whatever the file consists of
            raise ValueError(f"'{path}' cannot be read as arrays: {type(error).__name__}: "
                             f'{first_line_of(error)}') from error
    else:
        state = read_checkpoint_file(path, map_location='cpu')
    if not isinstance(state, Mapping):
        raise ValueError(f'{path} is no state dict but a {type(state).__name__}')
    not_tensors = [key for key, value in state.items() if not isinstance(value, torch.Tensor)]
    if not_tensors:
        raise ValueError(f'{path} is no state dict: {not_tensors[:3]} are not tensors')
    return {key.removeprefix('module.'): value for key, value in state.items()}


def convert(state: Mapping[str, Tensor], expected: Mapping[str, Tensor],
            drop: Sequence[str] = ()) -> dict[str, Tensor]:
    """Rename the authors' tensors.

    Args:
        state (Mapping[str, Tensor]): Tensors under the authors' keys.
        expected (Mapping[str, Tensor]): Our model's state dict, for names and shapes.
        drop (Sequence[str]): Prefixes of keys that the variant does not need.

    Returns:
        dict[str, Tensor]: Our state dict, float32.

    Raises:
        ValueError: With every key that is missing, left over, or of another shape.
    """
    names = {authors_key(name): name for name in expected}
    missing = [key for key in names if key not in state]
    left = [key for key in state if key not in names and not key.startswith(tuple(drop))]
    shapes = [f'{key}: file {tuple(state[key].shape)}, config {tuple(expected[name].shape)}'
              for key, name in names.items()
              if key in state and state[key].shape != expected[name].shape]
    problems = []
    if missing:
        problems.append(f'{len(missing)} keys that the config needs are missing: {missing}')
    if left:
        prefixes = sorted({key.split('.')[0] for key in left})
        problems.append(f'{len(left)} keys are not part of the config\'s model: {left}. Another '
                        f'variant? If they are not wanted: --drop {" ".join(prefixes)}')
    if shapes:
        problems.append(f'{len(shapes)} tensors have another shape: {shapes}')
    if problems:
        raise ValueError('the checkpoint is not of the variant in the config:\n- '
                         + '\n- '.join(problems))
    return {name: state[key].float() for key, name in names.items()}


def parse_args(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(__doc__)
    parser.add_argument('src', type=Path, help="the authors' checkpoint (or .npz of its keys)")
    parser.add_argument('dst', type=Path, help='the checkpoint to write')
    parser.add_argument('--config', required=True, help='config whose model it is')
    parser.add_argument('--drop', nargs='+', default=[], metavar='PREFIX',
                        help='leave out keys of the file that begin so; default none')
    add_cfg_options(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> list[str]:
    """Convert; return the keys that were dropped."""
    args = parse_args(argv)
    import torch
    from mmengine.registry import init_default_scope

    from mmc2v.config_reading import read_config
    from mmc2v.registry import MODELS
    from mmc2v.whole_files import write_whole

    config = read_config(args.config, args.cfg_options, ['model'])
    init_default_scope(config.get('default_scope', 'mmaction'))
    with torch.device('meta'):  # names and shapes are enough
        expected = MODELS.build(config.model).state_dict()
    state = read_checkpoint(args.src)
    converted = convert(state, expected, args.drop)
    dropped = [key for key in state if key not in {authors_key(name) for name in expected}]
    content = io.BytesIO()
    torch.save(dict(meta=dict(converted_from=args.src.name), state_dict=converted), content)
    write_whole(args.dst, content.getvalue())
    for key in dropped:
        print(f'dropped {key}')
    print(f'{len(converted)} tensors written to {args.dst}, {len(dropped)} dropped')
    return dropped


if __name__ == '__main__':
    run(lambda: main(sys.argv[1:]))
