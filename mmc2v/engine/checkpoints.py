"""Checkpoints that survive a kill at any moment."""
import os
import re
from pathlib import Path
from typing import Optional

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.fileio import LocalBackend, get_file_backend
from mmengine.hooks import CheckpointHook
from mmengine.model import is_model_wrapper
from mmengine.runner import (
    BaseLoop,
    EpochBasedTrainLoop,
    IterBasedTrainLoop,
    Runner,
    find_latest_checkpoint,
)

from mmc2v.registry import HOOKS

from .checkpoint_files import (
    PARTIAL,
    find_whole_checkpoint,
    problem_of_checkpoint,
    write_whole,
)
from .checkpoint_sharing import share_checkpoint

# In the message hub, and so in every checkpoint:
OUTDATED = 'outdated_ckpts'  # files beside it that it supersedes
VALIDATED = 'validated_at'  # [epoch, iter] of the last validation that it reflects


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """MMEngine's CheckpointHook, whose files are whole whenever a run is killed.

    A checkpoint is written under a temporary name, brought to the disk and renamed; older ones are
    removed only then, and what a kill has left of them by the next run. Resuming without a path
    takes the checkpoint that ``last_checkpoint`` names or, where that is missing or unreadable, the
    newest whole one. Nodes that do not share the work dir receive it from the first. A checkpoint
    is saved again after its validation; one that a kill left without is validated first, so that a
    resumed run ends with the same best and last files and figures.

    Args:
        **kwargs: As :class:`mmengine.hooks.CheckpointHook` has them. With ``backend_args``,
            ``file_client_args`` or an ``out_dir`` that is not local, all is done in MMEngine's way.

    Raises:
        ValueError: When a run is resumed and no checkpoint is whole, or the named one is not, and
            when checkpoints within epochs are asked for.
    """

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        self._is_local = not self.backend_args and self.file_client_args is None and isinstance(
            get_file_backend(self.out_dir or '.'), LocalBackend)
        if self._is_local:
            self.backend_args = dict(backend='mmc2v_whole')

    def before_run(self, runner: Runner) -> None:
        """Choose the checkpoint to resume from, before MMEngine does."""
        in_training = isinstance(runner._train_loop, BaseLoop)
        if not (in_training and runner._resume) or runner._has_loaded:
            return
        if not self._is_local or '://' in str(runner._load_from):
            chosen = [runner._load_from or find_latest_checkpoint(runner.work_dir)]
        else:
            chosen = [self._choose(runner) if is_main_process() else None]
            broadcast_object_list(chosen)
            if isinstance(chosen[0], Exception):
                raise chosen[0]  # on all ranks, of which none waits for another
            runner._load_from = chosen[0] and share_checkpoint(chosen[0], runner.work_dir)
        if not chosen[0]:
            runner.logger.info(f"there is no checkpoint in '{runner.work_dir}': training starts "
                               'from the beginning')
            runner._resume = False
            return
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if getattr(model, 'pretrained', None) is not None:
            model.pretrained = None  # the checkpoint has everything, and the file may be gone

    def _choose(self, runner: Runner) -> object:
        """Return the path of a checkpoint, None if there is none, or the error."""
        try:
            if runner._load_from is None:
                folder = runner.work_dir if self.out_dir is None else os.path.join(
                    self.out_dir, os.path.basename(runner.work_dir.rstrip(os.sep)))
                return find_whole_checkpoint(runner.work_dir, folder, self.filename_tmpl,
                                             self.save_optimizer)
            given = os.path.expanduser(runner._load_from)
            problem = problem_of_checkpoint(given, self.save_optimizer)
            return ValueError(f"cannot resume from '{given}': {problem}") if problem else given
        except (OSError, ValueError) as error:
            return error

    def before_train(self, runner: Runner) -> None:
        """Take up the state of a resumed run, and do the validation that it lacks."""
        if not self.by_epoch and isinstance(runner.train_loop, EpochBasedTrainLoop):
            raise ValueError(
                'checkpoint.by_epoch=False saves within epochs, but an interrupted epoch starts '
                'anew and its iterations would count twice. Set by_epoch=True, or train by '
                "train_cfg=dict(type='IterBasedTrainLoop', max_iters=...)")
        super().before_train(runner)
        if not self._is_local:
            return
        is_resumed = runner.iter > 0 and runner._resume and runner._load_from is not None
        goes_on = is_resumed and Path(runner._load_from).resolve().parent == Path(
            self.out_dir).resolve()
        if goes_on:  # else files of these names are of another run
            self.last_ckpt = runner._load_from  # MMEngine saves it again with a new best
            for name in runner.message_hub.runtime_info.get(OUTDATED, []):
                self.file_backend.remove(os.path.join(self.out_dir, name))
        self._set_best({key: self._in_own_folder(path) for key, path in self._best().items()})
        if is_main_process():
            for folder in {runner.work_dir, self.out_dir}:
                for name in ('*.pth', 'last_checkpoint'):
                    for path in Path(folder).glob(name + PARTIAL):
                        path.unlink()
        self._remove_outdated()
        if is_resumed and self._lacks_validation(runner):
            runner.logger.info('the run ended before the validation of its last checkpoint, which '
                               'is done now')
            runner.val_loop.run()
        if goes_on and is_main_process():
            self._remove_orphaned_best()

    def _best(self) -> dict[str, Optional[str]]:
        """Return the best checkpoint by each key."""
        if self.save_best is None:
            return {}
        if len(self.key_indicators) == 1:
            return {self.key_indicators[0]: self.best_ckpt_path}
        return self.best_ckpt_path_dict

    def _set_best(self, paths: dict[str, Optional[str]]) -> None:
        if len(paths) == 1:
            self.best_ckpt_path, = paths.values()
        elif paths:
            self.best_ckpt_path_dict = paths

    def _in_own_folder(self, path: Optional[str]) -> Optional[str]:
        """Find a file in this work dir, which may be a copy; leave that of another run alone."""
        own = path and os.path.join(self.out_dir, os.path.basename(path))
        return own if own and os.path.isfile(own) else None

    def _remove_orphaned_best(self) -> None:
        """Remove former best ones that a kill left beside the best of this run."""
        for key, best in self._best().items():
            if best is None or not os.path.isfile(best):
                continue
            name = re.escape(f'best_{key}_{self.filename_tmpl}'.replace('/', '_'))
            name = name.replace(r'\{\}', r'\d+')
            for path in Path(self.out_dir).glob('best_*'):
                if re.fullmatch(name, path.name) and path.name != os.path.basename(best):
                    path.unlink()

    def _remove_outdated(self) -> None:
        """Remove what was put off, on the rank that writes."""
        if is_main_process():
            self.file_backend.remove_now()

    @staticmethod
    def _lacks_validation(runner: Runner) -> bool:
        loop = runner.train_loop
        if runner.val_loop is None or not isinstance(
                loop, (EpochBasedTrainLoop, IterBasedTrainLoop)):
            return False
        loop._decide_current_val_interval()
        if isinstance(loop, EpochBasedTrainLoop):
            step, last = runner.epoch, loop.max_epochs
        else:
            step, last = runner.iter, loop.max_iters
        is_due = step >= loop.val_begin and (step % loop.val_interval == 0 or step == last)
        done = runner.message_hub.runtime_info.get(VALIDATED)
        return is_due and list(done or []) != [runner.epoch, runner.iter]

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
        for path in (*self._best().values(), self.last_ckpt):
            self.file_backend.keep(path)
        runner.message_hub.update_info(
            OUTDATED, [os.path.basename(path) for path in self.file_backend.outdated])
        runner.save_checkpoint(
            self.out_dir, self.filename_tmpl.format(step), save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler, meta=meta, by_epoch=self.by_epoch,
            backend_args=self.backend_args, **self.args)
        self._saved_validation = True
        if is_main_process():
            write_whole(Path(runner.work_dir, 'last_checkpoint'), self.last_ckpt.encode())
        self._remove_outdated()
