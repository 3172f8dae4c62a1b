"""Turn features of MMAction2's clip_feature_extraction.py into what FeatureTextDataset reads.

    python tools/dataset_converters/mmaction_features.py FOLDER --out OTHER --layout TC

Make them with --spatial-type avg --temporal-type keep: one .pkl a video, of (T, C) for 2D
recognizers and (C, T) for 3D ones (SlowFast alone has to pool time there). Nothing in those files
is executed but the making of arrays and tensors.
"""
import io
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1]))
from command_line import Parser, run

# All that a pickle of an array or tensor names.
_HARMLESS = (
    '_codecs.encode', 'collections.OrderedDict', 'numpy.dtype', 'numpy.ndarray',
    'numpy.core.multiarray._reconstruct', 'numpy._core.multiarray._reconstruct',
    'numpy.core.numeric._frombuffer', 'numpy._core.numeric._frombuffer',
    'torch._utils._rebuild_tensor_v2',
)


def _load_storage(content: bytes) -> Any:
    """Stand in for torch's function, which would read any pickle, and archives of TorchScript."""
    import torch

    if content.startswith(b'PK'):
        raise pickle.UnpicklingError('a tensor in it is an archive, which pickles do not hold')
    return torch.serialization.load(io.BytesIO(content), weights_only=True)


def read(path: Path, layout: str) -> np.ndarray:
    """Read the features of one video.

    Args:
        path (Path): A pickled array or tensor, (T, C) or (C, T), with any leading sides of 1.
        layout (str): 'TC' or 'CT'.

    Returns:
        np.ndarray: (T, C) float32.

    Raises:
        ValueError: If it is none.
    """
    from mmc2v.strict_pickles import StrictUnpickler

    class ArrayUnpickler(StrictUnpickler):
        allowed = _HARMLESS
        stand_ins = {'torch.storage._load_from_bytes': _load_storage}

    try:
        with open(path, 'rb') as file:
            content = np.asarray(ArrayUnpickler(file).load())
        if content.size > path.stat().st_size:  # an array can be made without its numbers
            raise ValueError(f'it names {content.size} numbers and does not hold them')
        features = np.asarray(content, dtype=np.float32)
    except Exception as error:  # a damaged pickle raises of many types
        raise ValueError(f"'{path}' is no pickled array: {error}") from error
    while features.ndim > 2 and features.shape[0] == 1:
        features = features[0]
    if features.ndim == 1:  # time was pooled
        features = features[None] if layout == 'TC' else features[:, None]
    if features.ndim != 2:
        raise ValueError(f"'{path}' is {features.shape}, expected two sides: extract with "
                         '--spatial-type avg --temporal-type keep, and one clip a video')
    return np.ascontiguousarray(features if layout == 'TC' else features.T)


def main() -> None:
    """Convert every file; those that cannot be are listed at the end."""
    parser = Parser(__doc__)
    parser.add_argument('folder', type=Path, help="folder of MMAction2's .pkl files, searched with "
                        'its subfolders')
    parser.add_argument('--out', type=Path, required=True, help='folder of the .npy files')
    parser.add_argument('--layout', choices=['TC', 'CT'], required=True,
                        help='sides of the arrays: TC of 2D recognizers, CT of 3D ones')
    args = parser.parse_args()
    from preparation.videos import walk_files
    from tqdm import tqdm

    from mmc2v.datasets.feature_text_dataset import feature_files, save_features

    if not args.folder.is_dir():
        raise FileNotFoundError(f"'{args.folder}' holds no .pkl file: it is no folder")
    # the extraction appends .pkl to a video's whole name
    names = sorted(path.removesuffix('.pkl') for path in walk_files(args.folder)
                   if path.endswith('.pkl'))
    if not names:
        raise FileNotFoundError(f"'{args.folder}' holds no .pkl file")
    files = feature_files(args.out, names)
    problems = []
    for name in tqdm(names, mininterval=1):
        try:
            features = read(args.folder / f'{name}.pkl', args.layout)
        except ValueError as error:
            problems.append(str(error))
            continue
        save_features(files[name], features)
    print(f'{len(names) - len(problems)} of {len(names)} converted to {args.out}')
    if problems:
        sys.exit('\n'.join(problems))


if __name__ == '__main__':
    run(main)
