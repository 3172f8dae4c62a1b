"""Fits the loaders of a config to the machine, and refuses what no loader can do."""
import os
from collections.abc import Collection

import torch
from mmengine.config import Config

from mmc2v.config_reading import require_number

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def available_cores() -> int:
    """Return the number of cores that each process of this machine has to itself."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') \
        else os.cpu_count() or 1
    return cores // int(os.environ.get('LOCAL_WORLD_SIZE', 1))  # set by torchrun


def fit_loaders(config: Config, explicit: Collection[str] = ()) -> list[str]:
    """Set what depends on the machine: at most as many workers as cores, and pinned memory.

    Args:
        config (Config): Is changed in place.
        explicit (Collection[str]): Dotted keys that the command line gave, which stay as they are.
            Defaults to none.

    Returns:
        list[str]: What to tell the user, a line each.

    Raises:
        ValueError: If the batch size or the number of workers of a loader is impossible.
    """
    cores, fewer = available_cores(), []
    for name in LOADERS:
        loader = config.get(name)
        if not loader:
            continue
        require_number(name, loader, 'batch_size', 1)
        require_number(name, loader, 'num_workers', 0)
        workers = loader.get('num_workers', 0)
        if workers > cores and f'{name}.num_workers' not in explicit:
            fewer.append(f'{name} {cores} instead of {workers}')
            loader.num_workers = cores
        if loader.get('num_workers', 0) == 0:
            loader.persistent_workers = False  # torch refuses it without workers
        if torch.cuda.is_available():
            loader.setdefault('pin_memory', True)
    return [f'workers for the {cores} cores of a process here: {", ".join(fewer)}; '
            '--cfg-options train_dataloader.num_workers=... decides otherwise'] if fewer else []
