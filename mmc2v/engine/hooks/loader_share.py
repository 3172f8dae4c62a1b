"""Says how much of the training time goes into waiting for data."""
from typing import Optional

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmc2v.registry import HOOKS


@HOOKS.register_module()
class LoaderShareHook(Hook):
    """Logs ``data_share``, the loader's share of step time, and warns once where it is large.

    The share is that of the last ``window`` steps, as the main process sees it. The first steps of
    an epoch, in which workers start, do not count for the warning.

    Args:
        warn_above (float): Share in [0, 1] above which to warn. Defaults to 0.3.
        window (int): Steps that are averaged. Defaults to 50.
    """

    priority = 'LOW'  # after the timer

    def __init__(self, warn_above: float = 0.3, window: int = 50) -> None:
        if not 0 <= warn_above <= 1 or window < 1:
            raise ValueError(f'warn_above must lie in [0, 1] and window be at least 1, got '
                             f'{warn_above}, {window}')
        self.warn_above = warn_above
        self.window = window
        self._has_warned = False

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Optional[dict] = None,
                         outputs: Optional[dict] = None) -> None:
        """Compare what the timer measured."""
        scalars = runner.message_hub.log_scalars
        if 'train/data_time' not in scalars or 'train/time' not in scalars:
            return
        waited, whole = (scalars[f'train/{key}'].mean(self.window) for key in
                         ('data_time', 'time'))
        share = float(min(1.0, waited / whole)) if whole > 0 else 0.0
        runner.message_hub.update_scalar('train/data_share', share)
        settled = batch_idx >= 2 * self.window
        if settled and share > self.warn_above and not self._has_warned:
            self._has_warned = True
            runner.logger.warning(
                f'{share:.0%} of the time goes into waiting for data. Raise '
                'train_dataloader.num_workers where there are cores, or read the frames from a '
                'cache: python tools/cache_videos.py CONFIG --out FOLDER')
