"""Checks the batch that the loss contrasts."""
import torch
from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmc2v.registry import HOOKS


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

    The loss contrasts the batches of all ranks, so their total is a hyperparameter of the recipe:
    the config's ``auto_scale_lr.base_batch_size``, where it has one.
    """

    def before_train(self, runner: Runner) -> None:
        """Compare; see :func:`refuse_empty_epoch`."""
        batch_size, ranks = refuse_empty_epoch(runner.train_dataloader), get_world_size()
        recipe = (runner.cfg.get('auto_scale_lr') or {}).get('base_batch_size')
        if recipe and batch_size * ranks != recipe:
            runner.logger.warning(
                f'the contrastive batch is {batch_size} x {ranks} ranks = {batch_size * ranks}, '
                f'the recipe expects {recipe}: {self._advice(batch_size, ranks, recipe)}')

    @staticmethod
    def _advice(batch_size: int, ranks: int, recipe: int) -> str:
        """Name the options that get there on this machine."""
        options = []
        if recipe % ranks == 0:
            options.append(f'--cfg-options train_dataloader.batch_size={recipe // ranks} gets '
                           'there here')
        wanted_ranks = recipe // batch_size
        if recipe % batch_size == 0 and 1 < wanted_ranks <= torch.cuda.device_count():
            options.append(f'bash tools/dist_train.sh CONFIG {wanted_ranks} gets there on the '
                           'GPUs of this machine')
        return ', or '.join(options) or f'use a number of ranks that divides {recipe}'
