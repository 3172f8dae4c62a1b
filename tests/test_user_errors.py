"""What a user did wrong is one line; faults of the program keep their traceback."""
import errno
import os
import re
import signal
import subprocess
import sys

import command_line
import pytest
from launch.training_settings import check_training
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import OPTIMIZERS, init_default_scope
from torch.utils.data import DataLoader, Dataset

from mmc2v.datasets import VideoDecodeError
from mmc2v.registry import DATASETS, MODELS
from mmc2v.user_errors import exit_with_message, user_message

from .tiny import ROOT, full_disk, model_config


class Broken(Dataset):
    """Fails in a loader's worker."""

    def __init__(self, error):
        self.error = error

    def __len__(self):
        return 1

    def __getitem__(self, index):
        raise self.error


def caught(action):
    with pytest.raises(Exception) as info:  # noqa: PT011  (whatever the action raises)
        action()
    return info.value


@pytest.mark.parametrize(('error', 'message'), [
    (ValueError('a.json: the caption\nis empty'), 'a.json: the caption\nis empty'),
    (FileNotFoundError('no a.json'), 'no a.json'),
    (VideoDecodeError('a.mp4', 'broken'), 'a.mp4 cannot be decoded: broken'),
    (FloatingPointError('the loss is not finite'), 'the loss is not finite'),
    (EOFError(), None), (AssertionError('x'), None), (RuntimeError('x'), None),
    (TypeError('x'), None), (KeyError('x'), None), (AttributeError('x'), None),
])
def test_kinds_of_errors(error, message):
    assert user_message(caught(lambda: Broken(error)[0])) == message


@pytest.mark.parametrize('error', [ValueError('a.json: the caption\nis empty'),
                                   VideoDecodeError('a.mp4', 'broken')])
def test_the_traceback_of_a_loaders_worker_is_taken_off(error):
    batches = iter(DataLoader(Broken(error), num_workers=1, timeout=120))
    try:
        assert user_message(caught(lambda: next(batches))) == str(error)
    finally:
        batches._shutdown_workers()  # the garbage collector would wait five seconds


class Killed(Dataset):
    """Kills the loader's worker that reads it."""

    def __len__(self):
        return 1

    def __getitem__(self, index):
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_worker_of_a_loader_is_one_line():
    message = user_message(caught(lambda: list(DataLoader(Killed(), num_workers=1))))
    assert message.startswith('DataLoader worker (pid')
    assert re.search(r'(killed by signal: Killed|exited unexpectedly)\. .* lower num_', message)


@pytest.mark.parametrize('error', [EOFError(), ConnectionResetError(104, 'reset by peer')])
def test_a_worker_that_ends_while_it_hands_over_is_one_line(error):
    """Tensors come by a connection of their own, which breaks before torch knows."""
    batches = iter(DataLoader([0, 1], num_workers=1, timeout=120))

    def hang_up(timeout):
        raise error
    batches._data_queue.get = hang_up
    message = user_message(caught(lambda: next(batches)))
    batches._shutdown_workers()
    assert re.match('DataLoader worker ended while .* lower num_workers', message)


def test_a_worker_that_ends_while_an_error_is_told_does_not_hide_it():
    previous = signal.getsignal(signal.SIGCHLD)

    def other_error(*args):
        raise RuntimeError('a worker has ended')

    def fail():
        signal.signal(signal.SIGCHLD, other_error)
        raise ValueError('the first error')
    try:
        with pytest.raises(SystemExit, match='^error: the first error$'):
            command_line.run(fail)
        assert signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGCHLD, previous)


def test_a_full_disk_names_what_others_write(tmp_path, monkeypatch, capsys):
    """MMEngine's log and figures do not name their files."""
    (tmp_path / 'run').mkdir()
    logger = MMLogger('full', log_file=str(tmp_path / 'run' / 'run.log'))
    monkeypatch.setattr(MMLogger, 'get_current_instance', lambda: logger)
    error = OSError(errno.ENOSPC, 'No space left on device')
    assert user_message(error) == (f"{error}, in writing the log and figures in "
                                   f"'{tmp_path / 'run'}'")
    assert user_message(OSError(errno.EADDRINUSE, 'in use')) == '[Errno 98] in use'

    def fill():
        logger.error('x' * 400)
        raise error
    with full_disk(), pytest.raises(SystemExit, match='^error: .*No space left on device'):
        command_line.run(fill)
    assert capsys.readouterr().err.count('\n') <= 1  # the logged line itself
    logger.handlers[-1].close()


def test_mistakes_in_a_config_name_the_nearest():
    init_default_scope('mmaction')

    def message(action):
        return user_message(caught(action))

    def build(**changed):
        return message(lambda: MODELS.build({**model_config(), **changed}))
    assert build(type='mmc2v.CLIP2Vido') == (
        "the config asks for the type 'mmc2v.CLIP2Vido', which no model registry has; did you "
        "mean 'mmc2v.CLIP2Video'?")
    assert build(type='Recogniser2D').endswith("did you mean 'Recognizer2D'?")
    assert build(nekc={}) == ("the config gives 'mmc2v.CLIP2Video' the argument 'nekc', which it "
                              "does not take; did you mean 'neck'?")
    assert "cannot build 'mmc2v.CLIPVisionTower': " in build(
        backbone=dict(type='mmc2v.CLIPVisionTower'))
    assert "has no 'type'" in build(backbone=dict(arch='ViT-B-32'))
    # passed on to a base class, which refuses it
    assert "the argument 'annfile', which it does not take; did you mean 'ann_file'?" in message(
        lambda: DATASETS.build(dict(type='mmc2v.VideoTextDataset', ann_file='a', annfile='b')))


def test_faults_within_what_is_built_are_no_mistakes_of_a_config():
    @OPTIMIZERS.register_module()
    class Faulty:
        def __init__(self, size):
            self.size = len(size)

    try:
        assert user_message(caught(
            lambda: OPTIMIZERS.build(dict(type='Faulty', size=1)))) is None
    finally:
        OPTIMIZERS.module_dict.pop('Faulty')


def test_training_settings_are_checked_before():
    config = Config(dict(default_scope='mmaction', train_cfg=dict(max_epochs=1), optim_wrapper=dict(
        optimizer=dict(type='AdamW')), param_scheduler=dict(type='LinearLR')))
    check_training(config)
    config.param_scheduler.type = 'LinerLR'
    with pytest.raises(ValueError, match="'LinerLR'.*did you mean 'LinearLR'"):
        check_training(config)
    config.optim_wrapper.optimizer.type = 'Adm'
    with pytest.raises(ValueError, match="'Adm'.*did you mean 'Adam"):
        check_training(config)
    config.train_cfg.max_epochs = 0
    with pytest.raises(ValueError, match=r'train_cfg\.max_epochs.*got 0'):
        check_training(config)


def test_the_traceback_is_in_the_log_file_alone(tmp_path, capfd):
    MMLogger.get_instance('user_errors', log_file=str(tmp_path / 'run.log'))
    error = caught(lambda: int('x'))
    with pytest.raises(SystemExit) as ended:
        exit_with_message(error)
    assert ended.value.code == "error: invalid literal for int() with base 10: 'x'"
    exit_with_message(caught(lambda: {}['a']))  # returns, so that Python shows its traceback
    log = (tmp_path / 'run.log').read_text()
    assert log.count('Traceback') == 2
    assert 'ValueError: invalid literal' in log
    assert "KeyError: 'a'" in log
    assert capfd.readouterr() == ('', '')


SCRIPT = '''
import datetime, sys
sys.path.append('tools')
from command_line import run
def main():
    import torch.distributed as dist
    dist.init_process_group('gloo', timeout=datetime.timedelta(minutes=5))
    dist.barrier()
    if dist.get_rank() == 1:
        raise ValueError('its file is broken')
    dist.barrier()  # for ever, if nobody ended it
run(main)
'''


def test_other_ranks_end_with_the_one_that_failed(tmp_path):
    (tmp_path / 'script.py').write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node', '2',
         tmp_path / 'script.py'], capture_output=True, text=True, cwd=ROOT, timeout=120,
        check=False)
    assert done.returncode == 1
    assert 'error on rank 1: its file is broken' in done.stderr
    assert 'exitcode: 1' in done.stderr.replace('exitcode  :', 'exitcode:')
