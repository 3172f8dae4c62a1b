"""Write the frame embeddings of a model's image tower, for training on frozen features.

    python tools/extract_features.py CONFIG CHECKPOINT --out FOLDER

Takes the frames that the config's evaluation takes, of all videos of its training and test set,
and writes one NAME.npy of (T, D) float32 a video. What is there already is kept, so that an
interrupted run goes on; videos that cannot be decoded are listed at the end and get none. Without
a checkpoint the tower starts from the config's CLIP weights.
"""
from __future__ import annotations

import argparse
import sys
from collections.abc import Container, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from command_line import Parser, add_cfg_options, non_negative_int, positive_int, run

if TYPE_CHECKING:
    from mmengine.config import Config
    from torch import nn
    from torch.utils.data import DataLoader, Dataset, Subset


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', nargs='?', help="checkpoint of the config's model; default "
                        "the config's CLIP weights")
    parser.add_argument('--out', type=Path, required=True, help='folder of the features')
    parser.add_argument('--batch-size', type=positive_int, default=32,
                        help='videos at a time; default 32')
    parser.add_argument('--workers', type=non_negative_int, default=2,
                        help='processes that decode; default 2')
    add_cfg_options(parser)
    return parser.parse_intermixed_args()  # options may stand between config and checkpoint


def names_of(dataset: Dataset) -> list[str]:
    """Return the names of a data set's videos in its order."""
    return [dataset.get_data_info(i)['video_id'] for i in range(len(dataset))]


def missing(dataset: Dataset, files: Mapping[str, Path], excluded: Container[str]) -> Subset:
    """Return the part of a data set whose features are not there, without excluded videos."""
    from torch.utils.data import Subset

    return Subset(dataset, [i for i, name in enumerate(names_of(dataset))
                            if name not in excluded and not files[name].is_file()])


def extract(model: nn.Module, loader: DataLoader, files: Mapping[str, Path],
            title: str) -> list[str]:
    """Write the features of all videos of a loader; return those that cannot be decoded."""
    from tqdm import tqdm

    from mmc2v.datasets.feature_text_dataset import save_features

    undecodable = []
    for batch in tqdm(loader, desc=title, mininterval=1):
        inputs = model.data_preprocessor(batch)['inputs']
        features, mask = model.frame_tokens(inputs['frames'], inputs['frame_mask'])
        for sample, of_video, valid in zip(batch['data_samples'], features, mask):
            if sample.get('undecodable'):
                undecodable.append(f'{sample.video_id}: {sample.undecodable}')
            else:
                save_features(files[sample.video_id], of_video[valid].float().cpu().numpy())
    return undecodable


def build_tower(config: Config, checkpoint: Optional[str]) -> nn.Module:
    """Build the model; without a checkpoint its tower alone has to start from weights.

    Raises:
        ValueError: If parameters of the tower would be random.
    """
    from mmengine.device import get_device
    from mmengine.registry import init_default_scope

    from mmc2v.apis import init_model
    from mmc2v.registry import MODELS

    if checkpoint is not None:
        return init_model(config, checkpoint, device=get_device())
    init_default_scope(config.get('default_scope', 'mmaction'))
    model = MODELS.build(config.model)
    random = [name for name in model.init_weights() if name.startswith('backbone.')]
    if random:
        raise ValueError(f'without a checkpoint these parameters of the tower would be random: '
                         f'{random[:4]}, {len(random)} in all')
    return model.to(get_device()).eval()


def dataset_of(config: Config, split: str) -> Dataset:
    """Build the videos of a split, each once; damage is borne as training bears it."""
    from mmc2v.registry import DATASETS

    settings, test = (config[f'{name}_dataloader'].dataset for name in (split, 'test'))
    opening = [step for step in settings.pipeline if step['type'].endswith('OpenVideo')]
    pipeline = [*opening, *(step for step in test.pipeline
                            if not (opening and step['type'].endswith('OpenVideo')))]
    return DATASETS.build(dict(
        test, ann_file=settings.ann_file, data_root=settings.get('data_root'),
        data_prefix=settings.data_prefix, pipeline=pipeline, group_file=None, kind_file=None,
        undecodable_as_miss=True))


def main() -> None:
    """Extract what is missing."""
    args = parse_args()
    import torch
    from mmengine.dataset import pseudo_collate
    from torch.utils.data import DataLoader

    from mmc2v.annotations import read_video_entries
    from mmc2v.config_reading import read_config
    from mmc2v.datasets.feature_text_dataset import feature_files

    config = read_config(args.config, args.cfg_options,
                         ['model', 'train_dataloader', 'test_dataloader'])
    model = build_tower(config, args.checkpoint)
    datasets = {split: dataset_of(config, split) for split in ('train', 'test')}
    files = feature_files(args.out, [name for dataset in datasets.values()
                                     for name in names_of(dataset)])
    undecodable = []
    for split, dataset in datasets.items():
        settings = config[f'{split}_dataloader'].dataset
        root = Path(settings.get('data_root') or '')
        excluded = read_video_entries(str(root / settings.exclude_file)) \
            if settings.get('exclude_file') else {}
        loader = DataLoader(missing(dataset, files, excluded), args.batch_size,
                            num_workers=args.workers, collate_fn=pseudo_collate)
        with torch.inference_mode():
            undecodable += extract(model, loader, files, f'{split}: {len(dataset)} videos')
    if undecodable:
        sys.exit(f'{len(undecodable)} videos cannot be decoded and have no features:\n'
                 + '\n'.join(undecodable))


if __name__ == '__main__':
    run(main)
