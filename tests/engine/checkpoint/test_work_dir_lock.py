"""One run at a time writes into a work dir, and a dead one does not keep it."""
import multiprocessing
import os
import signal
import time

import pytest
import torch.distributed as dist
from launch.runner import leave_process_group
from mmengine.runner import Runner

from mmc2v.engine.checkpoint import work_dir_lock
from mmc2v.engine.checkpoint.work_dir_lock import lock_work_dir, unlock_work_dir
from mmc2v.engine.main_process import on_main_process

from ...processes import run_ranks
from ...tiny import run_config, write_dataset


def hold(folder):
    """Lock a folder, with a child as a loader's workers are, until the process is killed."""
    lock_work_dir(folder)
    if os.fork() == 0:
        time.sleep(3)
        os._exit(0)
    time.sleep(60)


@pytest.fixture
def holder(tmp_path):
    """A process that holds the lock of tmp_path / 'work'."""
    process = multiprocessing.get_context('spawn').Process(
        target=hold, args=(str(tmp_path / 'work'),))
    process.start()
    while not (tmp_path / 'work' / work_dir_lock.HOLDER).exists():
        assert process.is_alive()
        time.sleep(0.01)
    yield process
    process.kill()
    process.join()


def config_of(tmp_path, **kwargs):
    return run_config(tmp_path / 'data', tmp_path / 'work', epochs=1, log_level='WARNING',
                      experiment_name=os.urandom(4).hex(), **kwargs)


def test_a_second_run_is_refused_and_a_dead_holder_is_taken_over(holder, tmp_path, monkeypatch):
    write_dataset(tmp_path / 'data', num_videos=5)
    for resume in (False, True):
        with monkeypatch.context() as patch:
            patch.setattr(work_dir_lock, '_WAIT_SECONDS', 0.1)
            with pytest.raises(ValueError, match=rf"into '.*work': process {holder.pid} on .*, "
                               r'since 20\d\d-.*another work dir'):
                Runner.from_cfg(config_of(tmp_path, resume=resume)).train()
    assert not list((tmp_path / 'work').glob('*.pth'))
    os.kill(holder.pid, signal.SIGKILL)
    Runner.from_cfg(config_of(tmp_path, resume=True)).train()
    assert (tmp_path / 'work' / 'epoch_1.pth').exists()
    assert not (tmp_path / 'work' / work_dir_lock.HOLDER).exists()
    assert str(tmp_path / 'work') not in work_dir_lock._held


def test_a_run_that_is_alive_is_not_waited_for(holder, tmp_path, monkeypatch):
    monkeypatch.setattr(time, 'sleep', None)  # a call would be an error
    with pytest.raises(ValueError, match=f'process {holder.pid} on'):
        lock_work_dir(str(tmp_path / 'work'))


def test_a_process_whose_run_failed_trains_again(tmp_path):
    write_dataset(tmp_path / 'data', num_videos=5)
    with pytest.raises(ValueError, match='no batch'):
        Runner.from_cfg(config_of(tmp_path, train_dataloader=dict(batch_size=50),
                                  param_scheduler=[])).train()
    Runner.from_cfg(config_of(tmp_path)).train()
    assert (tmp_path / 'work' / 'epoch_1.pth').exists()


def test_a_folder_named_in_two_ways_is_one(tmp_path):
    (tmp_path / 'link').symlink_to(tmp_path)
    for folder in (tmp_path, tmp_path / 'link'):
        lock_work_dir(str(folder))
    for folder in (tmp_path, tmp_path / 'link'):
        unlock_work_dir(str(folder))


def lock_worker(rank, world_size, folder):
    """Be refused while rank 1, as a run of its own would, holds the lock; then get it."""
    dist.init_process_group('gloo', init_method=f'file://{folder}/rendezvous', rank=rank,
                            world_size=world_size)
    work_dir_lock._WAIT_SECONDS = 0.1
    if rank == 1:
        lock_work_dir(f'{folder}/work')
    dist.barrier()
    with pytest.raises(ValueError, match='another run writes into'):
        on_main_process(lock_work_dir, f'{folder}/work')
    if rank == 1:
        unlock_work_dir(f'{folder}/work')
    dist.barrier()
    on_main_process(lock_work_dir, f'{folder}/work')
    assert len(work_dir_lock._held) == (rank == 0)
    leave_process_group()


def test_many_ranks_take_one_lock_or_all_are_refused(tmp_path):
    run_ranks(lock_worker, 2, str(tmp_path))
