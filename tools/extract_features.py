"""Write the frame embeddings of a model's image tower, for training on frozen features.

    python tools/extract_features.py CONFIG CHECKPOINT --out FOLDER

Takes the frames that the config's evaluation takes, of all videos of its training and test set,
and writes one NAME.npy of (T, D) float32 a video. What is there already is kept, so that an
interrupted run goes on. Without a checkpoint the tower starts from the config's CLIP weights.
"""
import argparse
import os
from pathlib import Path

import mmc2v  # noqa: F401  (mends the environment before a config is parsed)

# isort: split
import numpy as np
import torch
from mmengine.config import Config, DictAction
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from torch.utils.data import DataLoader, Subset
from tqdm import tqdm

from mmc2v.apis import init_model
from mmc2v.registry import DATASETS


def missing(dataset: torch.utils.data.Dataset, out: Path) -> Subset:
    """Return the part of a data set whose features are not there."""
    names = [dataset.get_data_info(i)['video_id'] for i in range(len(dataset))]
    return Subset(dataset, [i for i, name in enumerate(names) if not target(out, name).is_file()])


def target(out: Path, name: str) -> Path:
    """Return the file for a video's features."""
    return (out / name).with_suffix('.npy')


def save(path: Path, features: np.ndarray) -> None:
    """Write an array, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix('.partial')
    with open(partial, 'wb') as file:
        np.save(file, features)
    os.replace(partial, path)


@torch.inference_mode()
def extract(model: torch.nn.Module, loader: DataLoader, out: Path, title: str) -> None:
    """Write the features of all videos of a loader."""
    for batch in tqdm(loader, desc=title, mininterval=1):
        inputs = model.data_preprocessor(batch)['inputs']
        if getattr(model.backbone, 'takes_mask', False):
            features, mask = model.backbone(inputs['frames'], inputs['frame_mask'])
        else:
            features, mask = model.backbone(inputs['frames']), inputs['frame_mask']
        for sample, own, valid in zip(batch['data_samples'], features, mask):
            save(target(out, sample.video_id), own[valid].float().cpu().numpy())


def main() -> None:
    """Extract what is missing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config')
    parser.add_argument('checkpoint', nargs='?')
    parser.add_argument('--out', type=Path, required=True)
    parser.add_argument('--batch-size', type=int, default=32)
    parser.add_argument('--workers', type=int, default=2)
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={})
    args = parser.parse_args()
    config = Config.fromfile(args.config)
    config.merge_from_dict(args.cfg_options)
    model = init_model(config, args.checkpoint, device=get_device())
    test = config.test_dataloader.dataset
    for split in ('train', 'test'):
        own = config[f'{split}_dataloader'].dataset
        dataset = DATASETS.build(dict(
            test, ann_file=own.ann_file, data_root=own.get('data_root'),
            data_prefix=own.data_prefix, group_file=None, kind_file=None))
        loader = DataLoader(missing(dataset, args.out), args.batch_size,
                            num_workers=args.workers, collate_fn=pseudo_collate)
        extract(model, loader, args.out, f'{split}: {len(dataset)} videos')


if __name__ == '__main__':
    main()
