"""Hooks for what MMEngine does not do."""
from collections.abc import Iterator
from typing import Optional

import torch
from mmengine.dist import all_gather_object, broadcast_object_list, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner
from torch.utils.data import DataLoader, Dataset

from mmc2v.registry import HOOKS

from .iteration_batches import IterationBatches, loader_of_passes


def wrapped_datasets(dataset: Dataset) -> Iterator[Dataset]:
    """Yield a data set and everything that it wraps."""
    yield dataset
    held = getattr(dataset, '__dict__', {})  # some answer for what they wrap
    # MMEngine's num_batch_per_epoch wraps in _dataset
    for inner in [held.get('dataset'), held.get('_dataset'), *held.get('datasets', [])]:
        if inner is not None:
            yield from wrapped_datasets(inner)


@HOOKS.register_module()
class EpochRandomnessHook(Hook):
    """Tells data sets and samplers the epoch and the run's seed, so that resuming is exact.

    After a resume the runner has the seed of the checkpoint, which samplers built before do not.
    In loops of iterations a pass over the data counts as an epoch: this hook gives them a loader
    that begins each pass as an epoch begins, and a resumed run where it ended.
    """

    priority = 'VERY_HIGH'

    def before_train_epoch(self, runner: Runner) -> None:
        """Pass them on before the loader starts its workers."""
        loop = runner.train_loop
        if not isinstance(loop, IterBasedTrainLoop):
            self._tell(runner, runner.epoch)
            return
        refuse_empty_epoch(loop.dataloader)
        loop.dataloader = loader_of_passes(loop.dataloader)
        loop.dataloader_iterator = IterationBatches(
            loop.dataloader, runner.iter, lambda number: self._tell(runner, number))

    @staticmethod
    def _tell(runner: Runner, epoch: int) -> None:
        seed = [runner.seed]
        broadcast_object_list(seed)  # diff_rank_seed gives every rank another
        loader = runner.train_dataloader
        for dataset in wrapped_datasets(loader.dataset):
            if hasattr(dataset, 'set_epoch'):
                dataset.set_epoch(epoch, seed[0])
        for sampler in (loader.sampler, getattr(loader.batch_sampler, 'sampler', None)):
            if hasattr(sampler, 'seed'):
                sampler.seed = seed[0]
            if hasattr(sampler, 'set_epoch'):
                sampler.set_epoch(epoch)


def refuse_empty_epoch(loader: DataLoader) -> int:
    """Return the batch size of one rank.

    Raises:
        ValueError: If an epoch has no batch.
    """
    batch_size = loader.batch_size or loader.batch_sampler.batch_size
    if len(loader) == 0:
        raise ValueError(
            f'an epoch has no batch: {len(loader.dataset)} items on {get_world_size()} ranks do '
            f'not fill one batch of {batch_size} each. Lower train_dataloader.batch_size or add '
            'data')
    return batch_size


@HOOKS.register_module()
class ContrastiveBatchHook(Hook):
    """Checks at the start that there is a batch, and says where it differs from the recipe's.

    The loss contrasts the batches of all ranks, so their total is a hyperparameter of the recipe.

    Args:
        recipe_batch_size (int, optional): Total batch of the recipe that the config follows.
            Defaults to the config's ``auto_scale_lr.base_batch_size``, where it has one.
    """

    def __init__(self, recipe_batch_size: Optional[int] = None) -> None:
        self.recipe_batch_size = recipe_batch_size

    def before_train(self, runner: Runner) -> None:
        """Compare; see :func:`refuse_empty_epoch`."""
        own, ranks = refuse_empty_epoch(runner.train_dataloader), get_world_size()
        recipe = self.recipe_batch_size or (runner.cfg.get('auto_scale_lr') or {}).get(
            'base_batch_size')
        if recipe and own * ranks != recipe:
            runner.logger.warning(
                f'the contrastive batch is {own} x {ranks} ranks = {own * ranks}, the recipe '
                f'expects {recipe}: {self._advice(own, ranks, recipe)}')

    @staticmethod
    def _advice(own: int, ranks: int, recipe: int) -> str:
        """Name the options that get there on this machine."""
        options = []
        if recipe % ranks == 0:
            options.append(f'--cfg-options train_dataloader.batch_size={recipe // ranks} gets '
                           'there here')
        if recipe % own == 0 and 1 < recipe // own <= torch.cuda.device_count():
            options.append(f'bash tools/dist_train.sh CONFIG {recipe // own} gets there on the '
                           'GPUs of this machine')
        return ', or '.join(options) or f'use a number of ranks that divides {recipe}'


@HOOKS.register_module()
class UndecodableVideosHook(Hook):
    """Reports undecodable training videos, and stops all ranks where there are too many.

    Videos of which frames were filled are reported as well and do not count as undecodable.

    Args:
        max_share (float): Largest share of distinct seen videos that may be undecodable, in
            [0, 1]. Defaults to 0.05.
        min_seen (int): Distinct videos that must have been seen before the share counts.
            Defaults to 100.
        interval (int): Iterations between exchanges among ranks; every epoch ends with one.
            Defaults to 20.
    """

    def __init__(self, max_share: float = 0.05, min_seen: int = 100, interval: int = 20) -> None:
        if not 0 <= max_share <= 1:
            raise ValueError(f'max_share must lie in [0, 1], got {max_share}')
        self.max_share = max_share
        self.min_seen = min_seen
        self.interval = interval
        self._seen: set[str] = set()
        self._bad: dict[str, str] = {}
        self._new_seen: set[str] = set()
        self._new_bad: dict[str, str] = {}
        self._damaged: dict[str, str] = {}
        self._new_damaged: dict[str, str] = {}

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Optional[dict] = None,
                         outputs: Optional[dict] = None) -> None:
        """Note what the batch's samples say."""
        # batches of other data sets have none, nor have those of MMAction2's vis_scheduler.py
        samples = data_batch.get('data_samples', ()) if isinstance(data_batch, dict) else ()
        for sample in samples:
            if 'filename' in sample:  # not so in data sets of others
                self._new_seen.add(sample.filename)
                if 'damage' in sample:
                    self._new_damaged[sample.filename] = sample.damage
            for path, reason in sample.metainfo.get('replaces', []):
                self._new_seen.add(path)
                self._new_bad[path] = reason
        if self.every_n_inner_iters(batch_idx, self.interval):
            self._exchange(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Exchange what is left."""
        self._exchange(runner)

    def _exchange(self, runner: Runner) -> None:
        """Share news among ranks; every rank then knows the same and decides the same."""
        gathered = all_gather_object((self._new_seen, self._new_bad, self._new_damaged))
        self._new_seen, self._new_bad, self._new_damaged = set(), {}, {}
        for seen, bad, damaged in gathered:
            for path in sorted(set(damaged) - set(self._damaged)):
                self._damaged[path] = damaged[path]
                runner.logger.warning(f'damaged video: {path}: {damaged[path]}')
            self._seen |= seen
            for path in sorted(set(bad) - set(self._bad)):
                self._bad[path] = bad[path]
                runner.logger.warning(f'undecodable video, replaced by another: {path}: '
                                      f'{bad[path]}')
        share = len(self._bad) / max(1, len(self._seen))
        if len(self._seen) >= self.min_seen and share > self.max_share:
            raise ValueError(self._summary(share))

    def _summary(self, share: float) -> str:
        lines: list[str] = [f'  {path}: {reason}' for path, reason in sorted(self._bad.items())]
        return (f'{len(self._bad)} of {len(self._seen)} videos seen ({share:.1%}) cannot be '
                f'decoded, more than max_share={self.max_share:.1%}. Fetch them again, take them '
                'out of the annotation, or raise max_share:\n' + '\n'.join(lines))
