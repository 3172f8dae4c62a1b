r"""Write the frames that a config samples once, so that epochs read them instead of the videos.

    python tools/cache_videos.py configs/clip2video_msrvtt.py --out data/msrvtt/cache
    python tools/train.py configs/clip2video_msrvtt.py --cfg-options \
        train_dataloader.dataset.data_prefix.video=cache \
        val_dataloader.dataset.data_prefix.video=cache \
        test_dataloader.dataset.data_prefix.video=cache

The cache is a folder of short videos of the same names, with the frames and times that the config's
sampling looks at. An interrupted run goes on where it ended. A config with another sampling or size
refuses the cache. Videos that cannot be decoded are copied as they are and listed at the end.
"""
from __future__ import annotations

import argparse
import os
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from command_line import Parser, add_cfg_options, positive_int, run, whole_number

if TYPE_CHECKING:
    from mmengine.config import Config
    from mmengine.dataset import BaseDataset

    from mmc2v.datasets.frame_cache import CacheSettings


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('--out', type=Path, required=True, help='folder of the cache')
    parser.add_argument('--loaders', nargs='+', default=['train', 'val', 'test'],
                        choices=['train', 'val', 'test'], help='whose videos; default all')
    parser.add_argument('--candidates', type=positive_int, default=36,
                        help='frames kept of a video, for jitter; default 36')
    parser.add_argument('--quality', type=whole_number(1, 95), default=90,
                        help='of JPEG, 1 to 95; default 90')
    parser.add_argument('--workers', type=positive_int, default=os.cpu_count(),
                        help='processes; default one a core')
    add_cfg_options(parser)
    return parser.parse_args()


def datasets_of(config: Config, loaders: list[str]) -> list[BaseDataset]:
    """Build the data sets of loaders.

    Raises:
        ValueError: If there is none of ours.
    """
    from mmc2v.datasets import VideoTextDataset
    from mmc2v.engine.hooks.epoch_randomness import wrapped_datasets
    from mmc2v.registry import DATASETS

    found = []
    for name in loaders:
        loader = config.get(f'{name}_dataloader')
        if loader:
            found += [dataset for dataset in wrapped_datasets(DATASETS.build(loader.dataset))
                      if isinstance(dataset, VideoTextDataset)]
    if not found:
        raise ValueError(f'{loaders} of the config have no mmc2v.VideoTextDataset')
    return found


def plan(datasets: list[BaseDataset], out: Path, **kwargs) -> dict[Path, tuple]:
    """Decide what is written where.

    Returns:
        dict[Path, tuple]: folder of each cache -> its settings, and a dict of the target of each
        source.

    Raises:
        ValueError: If data sets of one folder want caches that differ, or read a cache already.
    """
    from mmc2v.datasets.frame_cache import check_cache, settings_of

    folders: dict[str, CacheSettings] = {}
    for dataset in datasets:
        folder, steps = dataset.data_prefix['video'], dataset.pipeline.transforms
        settings = settings_of(steps, **kwargs)
        if check_cache(Path(folder), steps):
            raise ValueError(f"'{folder}' is a cache already")
        if folders.setdefault(folder, settings) != settings:
            raise ValueError(f"data sets read '{folder}' by {folders[folder]} and by {settings}: "
                             'choose one of them by --loaders')
    names = Counter(Path(folder).name for folder in folders)
    if max(names.values()) > 1:
        raise ValueError(f'folders of one name cannot share --out: {sorted(folders)}; choose by '
                         '--loaders')
    targets = {folder: out / Path(folder).name if len(folders) > 1 else out for folder in folders}
    caches: dict[Path, tuple] = {targets[folder]: (settings, {})
                                 for folder, settings in folders.items()}
    for dataset in datasets:
        folder = dataset.data_prefix['video']
        _, files = caches[targets[folder]]
        for item in range(len(dataset)):
            source = dataset.get_data_info(item)['filename']
            files[source] = str(targets[folder] / Path(source).relative_to(folder))
    return caches


def main() -> None:
    """Cache as the command line says."""
    args = parse_args()
    from mmengine.registry import init_default_scope
    from tqdm import tqdm

    from mmc2v.config_reading import read_config
    from mmc2v.datasets.frame_cache import cache_video, start_cache

    config = read_config(args.config, args.cfg_options)
    init_default_scope(config.get('default_scope', 'mmaction'))
    caches = plan(datasets_of(config, args.loaders), args.out,
                  candidates=args.candidates, quality=args.quality)
    for folder, (settings, _) in caches.items():
        start_cache(folder, settings)
    jobs = [(source, target, settings) for settings, files in caches.values()
            for source, target in files.items()]
    todo = [job for job in jobs if not os.path.exists(job[1])]
    print(f'{len(jobs)} videos, {len(jobs) - len(todo)} of them cached before')
    undecodable = {}
    with ProcessPoolExecutor(args.workers) as pool, tqdm(
            total=len(todo), desc='caching', unit='video', mininterval=1) as progress:
        for (source, _, _), reason in zip(todo, pool.map(cache_video, *zip(*todo))
                                          if todo else ()):
            progress.update()
            if reason is not None:
                undecodable[source] = reason
    total = sum(os.path.getsize(target) for _, target, _ in jobs)
    print(f'{total / 1e6:.1f} MB, {total / len(jobs) / 1e3:.0f} kB a video')
    if undecodable:
        print(f'{len(undecodable)} videos cannot be decoded and are copied as they are:')
        print('\n'.join(f'  {path}: {reason}' for path, reason in sorted(undecodable.items())))


if __name__ == '__main__':
    run(main)
