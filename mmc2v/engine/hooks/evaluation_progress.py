"""Says how far validation and test are."""
import time
from typing import Any

from mmengine.hooks import Hook, LoggerHook
from mmengine.runner import Runner

from mmc2v.registry import HOOKS


@HOOKS.register_module()
class EvaluationProgressHook(Hook):
    """Logs an iteration of evaluation when nothing was logged of it for some time.

    MMEngine's LoggerHook counts iterations. On a CPU twenty of them may take many minutes, and a
    set of a thousand videos has thirty.

    Args:
        seconds (float): Time without a line, at least. Defaults to 15.
    """

    priority = 'LOW'  # after the logger

    def __init__(self, seconds: float = 15.0) -> None:
        self.seconds = seconds
        self._last = 0.0

    def _before_epoch(self, runner: Runner, mode: str = 'train') -> None:
        self._last = time.monotonic()

    def _after_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                    outputs: Any = None, mode: str = 'train') -> None:
        if mode == 'train':
            return
        now = time.monotonic()
        if any(isinstance(hook, LoggerHook) and self.every_n_inner_iters(batch_idx, hook.interval)
               for hook in runner.hooks):
            self._last = now  # it has just logged
        elif now - self._last >= self.seconds:
            self._last = now
            _, line = runner.log_processor.get_log_after_iter(runner, batch_idx, mode)
            runner.logger.info(line)
