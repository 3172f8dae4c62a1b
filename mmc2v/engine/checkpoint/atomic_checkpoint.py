"""Checkpoints that survive a kill at any moment."""
import os
from pathlib import Path
from typing import Optional

from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend, get_file_backend
from mmengine.hooks import CheckpointHook
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, Runner, find_latest_checkpoint

from mmc2v.registry import HOOKS
from mmc2v.whole_files import remove_partials, write_whole

from ..bare_model import bare_model
from ..main_process import on_main_process
from ..resumed_position import VALIDATED, fit_position, lacks_validation
from .files import find_whole_checkpoint, problem_of_checkpoint
from .fit import refuse_unfitting
from .names import OUTDATED, best_names, keep_only_names
from .sharing import share_checkpoint
from .work_dir_lock import lock_work_dir, unlock_work_dir


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """MMEngine's CheckpointHook, whose files are whole whenever a run is killed.

    A checkpoint is written under a temporary name, brought to the disk and renamed; older ones are
    removed only then, and what a kill has left of them by the next run. Resuming without a path
    takes the checkpoint that ``last_checkpoint`` names or, where that is missing or unreadable, the
    newest whole one. Nodes that do not share the work dir receive it from the first. A checkpoint
    is saved again after its validation; one that a kill left without is validated first, so that a
    resumed run ends with the same best and last files and figures.

    The work dir is locked while a run trains in it. What a resumed checkpoint says of other files
    is taken for names in this run's folder, never for paths.

    Args:
        rescale_schedule (bool): Resume also where an epoch has another number of iterations than
            the checkpoint's had, at the same share of the schedule; see :func:`fit_position`.
            Defaults to False: it is an error.
        **kwargs: As :class:`mmengine.hooks.CheckpointHook` has them. With ``backend_args``,
            ``file_client_args`` or an ``out_dir`` that is not local, all is done in MMEngine's way.

    Raises:
        ValueError: When a run is resumed and no checkpoint is whole, or the named one is not, and
            when checkpoints within epochs are asked for. When another run trains in the work dir.
            When a checkpoint to start from is damaged. When one is of another model, or of epochs
            of another length.
    """

    def __init__(self, rescale_schedule: bool = False, **kwargs) -> None:
        super().__init__(**kwargs)
        self.rescale_schedule = rescale_schedule
        self._is_local = not self.backend_args and self.file_client_args is None and isinstance(
            get_file_backend(self.out_dir or '.'), LocalBackend)
        if self._is_local:
            self.backend_args = dict(backend='mmc2v_whole')
        self._locked: list[str] = []

    def before_run(self, runner: Runner) -> None:
        """Lock the work dir, and choose the checkpoint to resume from, before MMEngine does."""
        if not isinstance(runner._train_loop, BaseLoop):
            return  # it tests
        if self._is_local:
            on_main_process(self._lock, runner)
        if runner._has_loaded:
            return
        if runner._resume:
            self._resume_from_whole(runner)
        if runner._load_from is not None:
            refuse_unfitting(runner._load_from, bare_model(runner), is_exact=runner._resume)

    def after_run(self, runner: Runner) -> None:
        """Free the work dir."""
        while self._locked:
            unlock_work_dir(self._locked.pop())

    def _folder(self, runner: Runner) -> str:
        """Return where MMEngine will put the checkpoints."""
        return runner.work_dir if self.out_dir is None else os.path.join(
            self.out_dir, os.path.basename(runner.work_dir.rstrip(os.sep)))

    def _lock(self, runner: Runner) -> None:
        for folder in dict.fromkeys([runner.work_dir, self._folder(runner)]):
            lock_work_dir(folder)
            self._locked.append(folder)

    def _resume_from_whole(self, runner: Runner) -> None:
        """Let the runner resume from a checkpoint that is whole, or start from the beginning."""
        if not self._is_local or '://' in str(runner._load_from):
            chosen = runner._load_from or find_latest_checkpoint(runner.work_dir)
        else:
            chosen = on_main_process(self._choose, runner)
            runner._load_from = chosen and share_checkpoint(chosen, runner.work_dir)
        if not chosen:
            runner.logger.info(f"there is no checkpoint in '{runner.work_dir}': training starts "
                               'from the beginning')
            runner._resume = False
            return
        model = bare_model(runner)
        if getattr(model, 'pretrained', None) is not None:
            model.pretrained = None  # the checkpoint has everything, and the file may be gone

    def _choose(self, runner: Runner) -> Optional[str]:
        """Return the path of a checkpoint, None if there is none."""
        if runner._load_from is None:
            return find_whole_checkpoint(runner.work_dir, self._folder(runner),
                                         self.filename_tmpl, self.save_optimizer)
        given = os.path.expanduser(runner._load_from)
        problem = problem_of_checkpoint(given, self.save_optimizer)
        if problem:
            raise ValueError(f"cannot resume from '{given}': {problem}")
        return given

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare lengths of epochs where a run is resumed."""
        if runner._resume and isinstance(runner._train_loop, EpochBasedTrainLoop):
            fit_position(checkpoint, runner, self.rescale_schedule)

    def before_train(self, runner: Runner) -> None:
        """Take up the state of a resumed run, and do the validation that it lacks."""
        if not self.by_epoch and isinstance(runner.train_loop, EpochBasedTrainLoop):
            raise ValueError(
                'checkpoint.by_epoch=False saves within epochs, but an interrupted epoch starts '
                'anew and its iterations would count twice. Set by_epoch=True, or train by '
                "train_cfg=dict(type='IterBasedTrainLoop', max_iters=...)")
        if self._is_local:  # MMEngine removes by what it finds there
            keep_only_names(runner.message_hub.runtime_info, self._folder(runner),
                            self.filename_tmpl, self._best_entries())
        super().before_train(runner)
        if not self._is_local:
            return
        is_resumed = runner.iter > 0 and runner._resume and runner._load_from is not None
        in_same_folder = is_resumed and Path(runner._load_from).resolve().parent == Path(
            self.out_dir).resolve()
        if in_same_folder:  # else files of these names are of another run
            # MMEngine saves it again with a new best
            self.last_ckpt = os.path.join(self.out_dir, os.path.basename(runner._load_from))
            for name in runner.message_hub.runtime_info.get(OUTDATED, []):
                self.file_backend.remove(os.path.join(self.out_dir, name))
        self._keep_best_and_last(runner)
        if is_main_process():
            for folder in {runner.work_dir, self.out_dir}:
                remove_partials(folder)
            self.file_backend.remove_now()
        if is_resumed and lacks_validation(runner):
            runner.logger.info('the run ended before the validation of its last checkpoint, which '
                               'is done now')
            runner.val_loop.run()
        if in_same_folder and is_main_process():
            self._remove_orphaned_best(runner)

    def _best_entries(self) -> dict[str, str]:
        """Return the entries of MMEngine's message hub that name a best checkpoint, with keys."""
        if self.save_best is None:
            return {}
        if len(self.key_indicators) == 1:
            return {'best_ckpt': self.key_indicators[0]}
        return {f'best_ckpt_{key}': key for key in self.key_indicators}

    def _keep_best_and_last(self, runner: Runner) -> None:
        """Take the checkpoints that count now out of those that will be removed."""
        best = map(runner.message_hub.runtime_info.get, self._best_entries())
        for path in (*best, self.last_ckpt):
            self.file_backend.keep(path)

    def _remove_orphaned_best(self, runner: Runner) -> None:
        """Remove former best ones that a kill left beside the best of this run."""
        for entry, key in self._best_entries().items():
            best = runner.message_hub.runtime_info.get(entry)
            if best is None or key == 'auto' or not os.path.isfile(best):
                continue  # by any figure would be too many
            names = best_names(self.filename_tmpl, key)
            for path in Path(self.out_dir).glob('best_*'):
                if names.fullmatch(path.name) and path.name != os.path.basename(best):
                    path.unlink()

    def after_val_epoch(self, runner: Runner, metrics: Optional[dict] = None) -> None:
        """Keep the best, and the fact that this checkpoint is validated."""
        if not (self._is_local and hasattr(self, 'file_backend')):
            super().after_val_epoch(runner, metrics)
            return
        runner.message_hub.update_info(VALIDATED, [runner.epoch, runner.iter])
        self._saved_validation = False
        super().after_val_epoch(runner, metrics)
        step = runner.epoch if self.by_epoch else runner.iter
        if self.last_ckpt and not self._saved_validation and os.path.basename(
                self.last_ckpt) == self.filename_tmpl.format(step):
            self._save_checkpoint_with_step(runner, step,
                                            dict(epoch=runner.epoch, iter=runner.iter))

    def _path(self, step: int) -> str:
        return self.file_backend.join_path(self.out_dir, self.filename_tmpl.format(step))

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        """Write the new one, then its name, and remove older ones after that."""
        if not self._is_local:
            super()._save_checkpoint_with_step(runner, step, meta)
            return
        if self.max_keep_ckpts > 0 and step not in self.keep_ckpt_ids:
            for old in list(self.keep_ckpt_ids)[:len(self.keep_ckpt_ids) + 1
                                                - self.max_keep_ckpts]:
                self.file_backend.remove(self._path(old))
            self.keep_ckpt_ids.append(step)
            runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        self.last_ckpt = self._path(step)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        # MMEngine's removals of best files are among them: this backend puts all of them off
        self._keep_best_and_last(runner)
        runner.message_hub.update_info(
            OUTDATED, list(map(os.path.basename, self.file_backend.outdated)))
        runner.save_checkpoint(
            self.out_dir, self.filename_tmpl.format(step), save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler, meta=meta, by_epoch=self.by_epoch,
            backend_args=self.backend_args, **self.args)
        self._saved_validation = True
        if is_main_process():
            write_whole(Path(runner.work_dir, 'last_checkpoint'), self.last_ckpt.encode())
            self.file_backend.remove_now()
