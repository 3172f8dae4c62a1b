"""Reports the best and the last validation, which the literature mixes."""
import os
from pathlib import Path
from typing import Optional

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner

from mmc2v.evaluation import format_table
from mmc2v.registry import HOOKS
from mmc2v.strict_text import read_json
from mmc2v.whole_files import to_json, write_whole

from .split_overlap import annotation_files


@HOOKS.register_module()
class BestAndLastHook(Hook):
    """Logs, after training, the figures of the best and of the last validation, both named.

    A figure chosen by what it is measured on is optimistic; where the config validates on the test
    set, as the literature does, 'best' is the best on the test set. All validations are kept in
    ``validations.json`` of the work dir, also over resuming, both figures in
    ``best_and_last.json``.

    Args:
        key (str): What decides which is best, greater is better. Defaults to 't2v/R1'.
    """

    priority = 'LOW'

    def __init__(self, key: str = 't2v/R1') -> None:
        self.key = key
        self._history: Optional[dict[int, dict]] = None

    def before_train(self, runner: Runner) -> None:
        """Take up the validations of a run that is resumed."""
        self._history = {}
        path = Path(runner.work_dir, 'validations.json')
        if runner.iter > 0 and path.is_file():
            try:
                self._history = {int(step): dict(metrics) for step, metrics in
                                 read_json(path).items() if int(step) <= self._step(runner)}
            except (ValueError, TypeError, AttributeError) as error:
                runner.logger.warning(
                    f"'{path}' cannot be read ({error}): validations up to {self._unit(runner)} "
                    f'{self._step(runner)} are missing in the report of best and last')

    def after_val_epoch(self, runner: Runner, metrics: Optional[dict[str, float]] = None) -> None:
        """Keep the figures."""
        if self._history is not None and metrics:
            self._history[self._step(runner)] = dict(metrics)
            self._write(runner, 'validations.json', self._history)

    def after_train(self, runner: Runner) -> None:
        """Report."""
        measured = {step: metrics for step, metrics in (self._history or {}).items()
                    if self.key in metrics}
        if not measured:
            return
        best = max(measured, key=lambda step: (measured[step][self.key], -step))
        chosen = dict(best=best, last=max(measured))
        on = ', '.join(sorted({os.path.basename(path) for path in annotation_files(
            runner.val_dataloader)})) or 'the validation set'
        unit = self._unit(runner)
        lines = [f'{len(measured)} validations on {on}; chosen by {self.key} on this very set:']
        for title, step in chosen.items():
            lines += [f'{title} {unit}: {step}', format_table(measured[step])]
        if chosen['last'] != self._step(runner):
            lines.append(f'the last {unit} of training, {self._step(runner)}, was not validated')
        runner.logger.info('\n'.join(lines))
        self._write(runner, 'best_and_last.json', dict(
            annotation=on, chosen_by=self.key, unit=unit,
            **{title: dict(step=step, metrics=measured[step]) for title, step in chosen.items()}))

    @staticmethod
    def _unit(runner: Runner) -> str:
        return 'epoch' if isinstance(runner.train_loop, EpochBasedTrainLoop) else 'iteration'

    def _step(self, runner: Runner) -> int:
        return runner.epoch if self._unit(runner) == 'epoch' else runner.iter

    @staticmethod
    def _write(runner: Runner, name: str, content: dict) -> None:
        if is_main_process():
            write_whole(Path(runner.work_dir, name), to_json(content))
