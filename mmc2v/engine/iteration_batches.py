"""Batches for loops of iterations, each found from its number alone."""
import itertools
from collections.abc import Callable, Iterator
from typing import Any

from mmengine.dataset import InfiniteSampler
from torch.utils.data import DataLoader

# What a loader is made of besides data set and sampler.
_SETTINGS = ('num_workers', 'collate_fn', 'pin_memory', 'timeout', 'worker_init_fn',
             'multiprocessing_context', 'generator', 'prefetch_factor', 'persistent_workers')


class PassBatchSampler:
    """The batches of one pass over the data, or of its rest.

    A pass is to a loop of iterations what an epoch is to one of epochs. The order is that of the
    sampler: an endless one of MMEngine's is read on from where the iteration is.

    Args:
        batch_sampler: Of the loader, with ``sampler`` and ``batch_size``.
    """

    def __init__(self, batch_sampler: Any) -> None:
        self.batch_sampler = batch_sampler
        self.sampler = batch_sampler.sampler
        self.batch_size = batch_sampler.batch_size
        self._iteration = 0

    def begin_at(self, iteration: int) -> None:
        """Choose the first batch, by its iteration from 0; then iterate."""
        self._iteration = iteration

    def __len__(self) -> int:
        if isinstance(self.sampler, InfiniteSampler):  # whose length is that of all ranks
            return max(1, len(self.sampler) // (self.batch_size * self.sampler.world_size))
        return len(self.batch_sampler)

    def __iter__(self) -> Iterator[list[int]]:
        start, rest = self._iteration, len(self) - self._iteration % len(self)
        if isinstance(self.sampler, InfiniteSampler):  # made anew: its stream was begun
            self.sampler.indices = InfiniteSampler(
                self.sampler.dataset, self.sampler.shuffle, self.sampler.seed).indices
        else:
            start %= len(self)
        yield from itertools.islice(self.batch_sampler, start, start + rest)


def loader_of_passes(loader: DataLoader) -> DataLoader:
    """Return a loader of the same data whose batch sampler is a :class:`PassBatchSampler`."""
    return DataLoader(loader.dataset, batch_sampler=PassBatchSampler(loader.batch_sampler),
                      **{name: getattr(loader, name) for name in _SETTINGS})


def iteration_batches(loader: DataLoader, trained: int,
                      begin_pass: Callable[[int], None]) -> Iterator[Any]:
    """Yield what MMEngine's loop of iterations takes its batches from, endlessly.

    MMEngine's own starts the workers before anything could tell them the seed, lets them run ahead
    into the next pass, and reads everything that a resumed run has been trained on again.

    Args:
        loader (DataLoader): See :func:`loader_of_passes`.
        trained (int): Iterations that are trained already. The loop asks for these, too: it
            gets None.
        begin_pass (Callable): Is told the number of each pass before its workers begin.
    """
    yield from itertools.repeat(None, trained)
    iteration = trained
    while True:
        begin_pass(iteration // len(loader))
        loader.batch_sampler.begin_at(iteration)
        for batch in loader:
            yield batch
            iteration += 1
