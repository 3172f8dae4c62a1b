"""The schedules of the recipes, which follow the length of training."""
import math
from abc import ABC, abstractmethod
from typing import Union

from mmengine.optim import _ParamScheduler

from mmc2v.registry import PARAM_SCHEDULERS


class WarmupLR(_ParamScheduler, ABC):
    """A schedule of the whole training that begins with a warm-up; counts iterations.

    In loops of epochs as of iterations. Where the config gives no ``end`` MMEngine sets that to the
    last iteration, ``max_epochs`` times those of an epoch or ``max_iters``, so a config says in one
    place how long it trains. A resumed run takes its position from the checkpoint and its length
    from the config.

    Args:
        optimizer (OptimWrapper | Optimizer): Whose groups are scheduled.
        warmup (float | int): Length of the rise: a share of the whole, in [0, 1), or a whole number
            of iterations from 1 up. Defaults to 0.1.
        by_epoch (bool): Must be False, which also tells MMEngine to set ``end`` in iterations.
        **kwargs: ``begin``, ``end``, ``last_step`` and ``verbose``, as MMEngine's schedulers have
            them.

    Raises:
        ValueError: If ``by_epoch`` is not False, or the warm-up is no such number.
    """

    def __init__(self, optimizer, warmup: Union[float, int] = 0.1, by_epoch: bool = True,
                 **kwargs) -> None:
        if by_epoch:
            raise ValueError(f'{type(self).__name__} counts iterations: give it by_epoch=False')
        is_count = isinstance(warmup, int) and warmup >= 1
        if not is_count and not 0 <= warmup < 1:
            raise ValueError('warmup must be a share in [0, 1) or a whole number of iterations, '
                             f'got {warmup}')
        self.warmup = warmup
        super().__init__(optimizer, 'lr', by_epoch=False, **kwargs)

    def load_state_dict(self, state_dict: dict) -> None:
        """Take up a position; it may be that of another scheduler of MMEngine's.

        Args:
            state_dict (dict): As a checkpoint has it. The length is the config's.
        """
        self.base_values = state_dict['base_values']
        self._global_step = state_dict['_global_step']
        self.last_step = max(-1, min(self._global_step, self.end - 1) - self.begin)
        if self.begin <= self._global_step < self.end:
            for group, value in zip(self.optimizer.param_groups, self._get_value()):
                group['lr'] = value

    def _get_value(self) -> list[float]:
        return [value * self._factor(self.last_step, self.end - self.begin)
                for value in self.base_values]

    @abstractmethod
    def _factor(self, step: int, steps: int) -> float:
        """Return the share of the learning rate at iteration ``step`` of so many, from 0."""


@PARAM_SCHEDULERS.register_module()
class WarmupCosineLR(WarmupLR):
    """The learning rate rises linearly, then falls by a cosine until training ends.

    At least one iteration is taken to rise.

    Args:
        optimizer, warmup, by_epoch, **kwargs: As :class:`WarmupLR` has them.
        start_factor (float): Share of the learning rate at the first iteration. Defaults to 0.001.
        eta_min_ratio (float): Share that the cosine ends at. Defaults to 0.
    """

    def __init__(self, optimizer, warmup: Union[float, int] = 0.1, start_factor: float = 1e-3,
                 eta_min_ratio: float = 0.0, **kwargs) -> None:
        self.start_factor = start_factor
        self.eta_min_ratio = eta_min_ratio
        super().__init__(optimizer, warmup, **kwargs)

    def _factor(self, step: int, steps: int) -> float:
        # rounded first: 0.1 * 30 is a little more than 3, and 0.58 * 100 less than 58
        rising = max(1, self.warmup if isinstance(self.warmup, int)
                     else int(round(self.warmup * steps, 6)))
        if step < rising:
            return self.start_factor + (1 - self.start_factor) * step / max(1, rising - 1)
        share = (step - rising) / (steps - rising)
        return self.eta_min_ratio + (1 - self.eta_min_ratio) * (1 + math.cos(math.pi * share)) / 2
