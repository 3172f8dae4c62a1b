"""Checkpoints that survive a kill at any moment."""
import re
from pathlib import Path
from typing import Optional

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.runner import EpochBasedTrainLoop, Runner

from mmc2v.registry import HOOKS

from .checkpoint_files import (
    PARTIAL,
    WholeFileBackend,
    find_whole_checkpoint,
    problem_of_checkpoint,
    share_checkpoint,
    write_whole,
)


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """MMEngine's CheckpointHook, whose files are whole whenever a run is killed.

    A checkpoint is written under a temporary name, brought to the disk and renamed; older ones are
    removed only then. Resuming without a path takes the checkpoint that ``last_checkpoint`` names
    or, where that is missing or unreadable, the newest whole one. Nodes that do not share the
    work dir receive it from the first. A validation that the kill cut off is done first.

    Args:
        **kwargs: As :class:`mmengine.hooks.CheckpointHook` has them. With ``out_dir``,
            ``backend_args`` or ``file_client_args`` given, files are written by that backend, in
            MMEngine's way.

    Raises:
        ValueError: When a run is resumed and no checkpoint is whole, or the named one is not.
    """

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        self._is_local = all(kwargs.get(key) is None for key in (
            'out_dir', 'backend_args', 'file_client_args'))
        if self._is_local:
            self.backend_args = dict(backend='mmc2v_whole')

    def before_run(self, runner: Runner) -> None:
        """Choose the checkpoint to resume from, before MMEngine does."""
        if not runner._resume or runner._has_loaded or not self._is_local:
            return
        chosen: list[Optional[str]] = [None, None]  # path, error
        if is_main_process():
            try:
                chosen[0] = self._choose(runner)
            except ValueError as error:
                chosen[1] = str(error)
        broadcast_object_list(chosen)
        path, error = chosen
        if error is not None:
            raise ValueError(error)  # on all ranks, of which none waits for another
        if path is None:
            runner.logger.info(f"there is no checkpoint in '{runner.work_dir}': training starts "
                               'from the beginning')
            runner._resume = False
            return
        runner._load_from = share_checkpoint(path, runner.work_dir)
        model = getattr(runner.model, 'module', runner.model)
        if getattr(model, 'pretrained', None) is not None:
            model.pretrained = None  # the checkpoint has everything, and the file may be gone

    @staticmethod
    def _choose(runner: Runner) -> Optional[str]:
        if runner._load_from is None:
            return find_whole_checkpoint(runner.work_dir)
        problem = problem_of_checkpoint(runner._load_from)
        if problem is not None and '://' not in runner._load_from:
            raise ValueError(f"cannot resume from '{runner._load_from}': {problem}")
        return runner._load_from

    def before_train(self, runner: Runner) -> None:
        """Take up the state of a resumed run, and do the validation that it lacks."""
        super().before_train(runner)
        if not self._is_local:
            return
        self._take_best_along()
        if is_main_process():
            for path in Path(self.out_dir).glob(f'*{PARTIAL}'):
                path.unlink()
            for step in runner.message_hub.runtime_info.get('outdated_ckpt_ids', []):
                if step not in getattr(self, 'keep_ckpt_ids', []):
                    self.file_backend.remove(self._path(step))
            self._remove_outdated()
        if not self.by_epoch and isinstance(runner.train_loop, EpochBasedTrainLoop):
            runner.logger.warning(
                'checkpoints within an epoch resume from the beginning of that epoch, but count '
                'its iterations on; use by_epoch=True, or an IterBasedTrainLoop')
        if runner.iter > 0 and self._lacks_validation(runner):
            runner.logger.info('the run ended before the validation of its last checkpoint, which '
                               'is done now')
            runner.val_loop.run()
        if runner.iter > 0 and is_main_process():
            self._remove_orphaned_best()

    def _take_best_along(self) -> None:
        """Find the best checkpoint in this work dir, also where that was copied or moved."""
        def here(path: Optional[str]) -> Optional[str]:
            own = path and str(Path(self.out_dir, Path(path).name))
            return own if own and Path(own).is_file() else path
        if self.save_best is not None and len(self.key_indicators) == 1:
            self.best_ckpt_path = here(self.best_ckpt_path)
        elif self.save_best is not None:
            self.best_ckpt_path_dict = {key: here(path) for key, path in
                                        self.best_ckpt_path_dict.items()}

    def _remove_orphaned_best(self) -> None:
        """Remove former best ones that a kill left beside the best of this run."""
        if self.save_best is None:
            return
        paths = {self.key_indicators[0]: self.best_ckpt_path} \
            if len(self.key_indicators) == 1 else self.best_ckpt_path_dict
        for key, best in paths.items():
            if best is not None and Path(best).is_file():
                name = f'best_{key}_'.replace('/', '_')
                for path in Path(self.out_dir).glob('best_*.pth'):
                    is_of_key = re.fullmatch(re.escape(name) + r'(epoch|iter)_\d+\.pth', path.name)
                    if is_of_key and path.name != Path(best).name:
                        path.unlink()

    def _lacks_validation(self, runner: Runner) -> bool:
        loop = runner.train_loop
        if not isinstance(loop, EpochBasedTrainLoop) or runner.val_loop is None:
            return False
        is_due = runner.epoch >= loop.val_begin and (
            runner.epoch % loop.val_interval == 0 or runner.epoch == loop.max_epochs)
        marker = Path(runner.work_dir, 'last_validation')
        done = [marker.read_text().strip() if marker.is_file() else '']
        broadcast_object_list(done)
        return is_due and done[0] != str(runner.epoch)

    def after_val_epoch(self, runner: Runner, metrics: Optional[dict] = None) -> None:
        """Keep the best, and note that this validation is complete."""
        super().after_val_epoch(runner, metrics)
        if self._is_local and hasattr(self, 'file_backend') and is_main_process():
            self._remove_outdated()
            write_whole(Path(runner.work_dir, 'last_validation'), str(runner.epoch).encode())

    def _path(self, step: int) -> str:
        return self.file_backend.join_path(self.out_dir, self.filename_tmpl.format(step))

    def _remove_outdated(self) -> None:
        if isinstance(self.file_backend, WholeFileBackend):
            self.file_backend.remove_now()

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        """Write the new one, then its name, and remove older ones after that."""
        if not self._is_local:
            super()._save_checkpoint_with_step(runner, step, meta)
            return
        if self.max_keep_ckpts > 0 and step not in self.keep_ckpt_ids:
            # noted in the checkpoint, for a run that is killed before they are removed
            outdated = list(self.keep_ckpt_ids)[:len(self.keep_ckpt_ids) + 1
                                                - self.max_keep_ckpts]
            self.keep_ckpt_ids.append(step)
            runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
            runner.message_hub.update_info('outdated_ckpt_ids', outdated)
            for old in outdated:
                self.file_backend.remove(self._path(old))
        self.last_ckpt = self._path(step)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir, self.filename_tmpl.format(step), save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler, meta=meta, by_epoch=self.by_epoch,
            backend_args=self.backend_args, **self.args)
        if is_main_process():
            write_whole(Path(runner.work_dir, 'last_checkpoint'), self.last_ckpt.encode())
            self._remove_outdated()
