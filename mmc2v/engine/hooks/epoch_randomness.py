"""Makes the random choices of an epoch depend on its number and the run's seed alone."""
from collections.abc import Iterator

from mmengine.dist import broadcast_object_list
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner
from torch.utils.data import Dataset

from mmc2v.registry import HOOKS

from ..iteration_batches import iteration_batches, loader_of_passes
from .contrastive_batch import refuse_empty_epoch


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
        loop.dataloader_iterator = iteration_batches(
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
