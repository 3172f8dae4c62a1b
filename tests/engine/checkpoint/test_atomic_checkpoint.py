"""Checkpoints are whole or absent, and resuming finds the right one."""
import json
import os
import shutil
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from launch.runner import leave_process_group
from mmengine.evaluator import Evaluator
from mmengine.runner import IterBasedTrainLoop, Runner, ValLoop

from mmc2v.engine.checkpoint import files, sharing
from mmc2v.engine.checkpoint.files import find_whole_checkpoint
from mmc2v.engine.checkpoint.sharing import share_checkpoint
from mmc2v.whole_files import write_whole

from ...processes import run_ranks
from ...test_checkpoint_reading import flip
from ...tiny import run_config, write_dataset
from ...tools import kill_and_resume


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data')
    write_dataset(folder / 'data', num_videos=5)
    return folder / 'data'


def runner(data, work_dir, epochs=2, keep=1, **kwargs):
    config = run_config(data, work_dir, epochs=epochs, log_level='WARNING', **kwargs)
    config.default_hooks.checkpoint.max_keep_ckpts = keep
    config.experiment_name = f'{work_dir.name}_{epochs}_{os.urandom(4).hex()}'
    return Runner.from_cfg(config)


@pytest.fixture(scope='module')
def trained(data, tmp_path_factory):
    """A run of three epochs of which all checkpoints are kept."""
    work_dir = tmp_path_factory.mktemp('trained')
    runner(data, work_dir, epochs=3, keep=3).train()
    return work_dir


@pytest.fixture
def copied(trained, tmp_path):
    work_dir = tmp_path / 'work'
    shutil.copytree(trained, work_dir)
    (work_dir / 'last_checkpoint').write_text(str(work_dir / 'epoch_3.pth'))
    return work_dir


def test_nothing_that_disturbs_a_run_loses_anything(tmp_path):
    """`make kill-test` does it more often."""
    found = kill_and_resume.run(tmp_path, seed=3, epochs=2, kill=1, worker=1, full_disk=1,
                                second_run=1)
    assert found == {kind: [[]] for kind in ('kill', 'worker', 'full_disk', 'second_run')}


def test_the_old_checkpoint_goes_after_the_new_one_is_named(data, tmp_path, monkeypatch):
    seen = []
    write = write_whole

    def watch(path, content):
        seen.append((Path(path).name, sorted(p.name for p in Path(path).parent.glob('epoch*.pth'))))
        write(path, content)
    monkeypatch.setattr(files, 'write_whole', watch)
    monkeypatch.setattr('mmc2v.engine.checkpoint.atomic_checkpoint.write_whole', watch)
    runner(data, tmp_path / 'work', epochs=3).train()
    assert ('epoch_2.pth', ['epoch_1.pth']) in seen
    assert ('last_checkpoint', ['epoch_1.pth', 'epoch_2.pth']) in seen
    names = sorted(path.name for path in (tmp_path / 'work').glob('*.pth'))
    assert names[-1] == 'epoch_3.pth'
    assert len(names) == 2  # and one best
    assert names[0].startswith('best_t2v_R1_epoch_')


def test_resuming_prefers_what_last_checkpoint_names(copied):
    (copied / 'last_checkpoint').write_text(str(copied / 'epoch_2.pth'))
    assert find_whole_checkpoint(str(copied)) == str(copied / 'epoch_2.pth')


@pytest.mark.parametrize('fault', ['pointer missing', 'pointer empty', 'named file missing',
                                   'named file cut off', 'named file with a wrong byte',
                                   'named file without optimizer', 'moved'])
def test_resuming_falls_back_to_the_newest_whole_one_and_says_so(fault, copied, caplog):
    pointer, named = copied / 'last_checkpoint', copied / 'epoch_3.pth'
    expected = 'epoch_2.pth'
    if fault == 'pointer missing':
        pointer.unlink()
        expected = 'epoch_3.pth'
    elif fault == 'pointer empty':
        pointer.write_text('')
        expected = 'epoch_3.pth'
    elif fault == 'named file missing':
        named.unlink()
    elif fault == 'named file cut off':
        named.write_bytes(named.read_bytes()[:-1000])
    elif fault == 'named file with a wrong byte':
        flip(named)  # torch loads it without a word
    elif fault == 'named file without optimizer':
        checkpoint = torch.load(named)
        del checkpoint['optimizer']
        torch.save(checkpoint, named)
    else:
        pointer.write_text('/of/another/machine/epoch_3.pth')
        expected = 'epoch_3.pth'
    said = []
    original, files.print_log = files.print_log, \
        lambda text, **kwargs: said.append(text)
    try:
        assert find_whole_checkpoint(str(copied)) == str(copied / expected)
    finally:
        files.print_log = original
    assert bool(said) == (fault != 'moved')
    if fault.startswith('named'):
        assert 'epoch_3.pth' in said[0]
        assert {'named file missing': 'it does not exist', 'named file cut off':
                'it cannot be read', 'named file with a wrong byte': 'the checksum of its part',
                'named file without optimizer': "no ['optimizer']"}[
                    fault] in said[0]


def test_nothing_to_resume_from_is_not_the_same_as_nothing_whole(copied, tmp_path):
    assert find_whole_checkpoint(str(tmp_path / 'none')) is None
    for path in copied.glob('epoch_*.pth'):
        path.write_bytes(b'broken')
    with pytest.raises(ValueError, match=r"none of the checkpoints in '.*' is whole.*epoch_1\.pth"):
        find_whole_checkpoint(str(copied))


def test_a_named_checkpoint_is_not_replaced_by_another(data, copied):
    (copied / 'epoch_3.pth').write_bytes(b'broken')
    with pytest.raises(ValueError, match=r"cannot resume from '.*epoch_3\.pth': it cannot be read"):
        runner(data, copied, resume=True, load_from=str(copied / 'epoch_3.pth')).train()


def test_a_damaged_checkpoint_to_start_from_is_refused(data, copied, tmp_path):
    flip(copied / 'epoch_3.pth')
    with pytest.raises(ValueError, match=r"epoch_3\.pth' is damaged: the checksum of its part"):
        runner(data, tmp_path / 'new', load_from=str(copied / 'epoch_3.pth')).train()


class Killed(BaseException):
    """Stands for a kill at a moment of the test's choice."""


def dies(*_, **__):
    raise Killed


def score(monkeypatch, values):
    """Let epochs have these figures."""
    evaluate = Evaluator.evaluate
    given = iter(values)
    monkeypatch.setattr(Evaluator, 'evaluate', lambda self, size: {
        **evaluate(self, size), 't2v/R1': next(given)})


def test_validations_that_kills_cut_off_are_made_up_for_with_the_best_they_found(
        data, tmp_path, monkeypatch):
    """Killed in the validation of epoch 2, and again in epoch 3, when that was made up for."""
    work_dir = tmp_path / 'work'
    with monkeypatch.context() as patch:
        score(patch, [10, 30])
        patch.setattr('mmc2v.engine.BestAndLastHook.after_val_epoch', lambda *a, **k:
                      dies() if a[1].epoch == 2 else None)
        with pytest.raises(Killed):
            runner(data, work_dir, epochs=3).train()
    assert not (work_dir / 'best_t2v_R1_epoch_2.pth').exists()
    with monkeypatch.context() as patch:
        score(patch, [30])
        patch.setattr('mmc2v.engine.EpochRandomnessHook.before_train_epoch', dies)
        with pytest.raises(Killed):
            runner(data, work_dir, epochs=3, resume=True).train()
    with monkeypatch.context() as patch:
        score(patch, [20])  # epoch 2 is not validated a second time, and stays the best
        runner(data, work_dir, epochs=3, resume=True).train()
    assert sorted(path.name for path in work_dir.glob('*.pth*')) == [
        'best_t2v_R1_epoch_2.pth', 'epoch_3.pth']
    assert json.loads((work_dir / 'best_and_last.json').read_text())['best']['step'] == 2


def test_the_last_validation_of_a_loop_of_iterations_is_made_up_for(data, tmp_path, monkeypatch):
    def run(**kwargs):
        config = runner(data, tmp_path / 'work', **kwargs).cfg
        config.train_cfg = dict(type='IterBasedTrainLoop', max_iters=2, val_interval=1)
        config.param_scheduler = []
        config.default_hooks.checkpoint.update(by_epoch=False)
        config.experiment_name = os.urandom(4).hex()
        built = Runner.from_cfg(config)
        built.train()
        assert isinstance(built.train_loop, IterBasedTrainLoop)
    with monkeypatch.context() as patch:
        validate = ValLoop.run
        patch.setattr(ValLoop, 'run', lambda self: dies() if self.runner.iter == 2
                      else validate(self))
        with pytest.raises(Killed):
            run()
    run(resume=True)
    assert list(json.loads((tmp_path / 'work' / 'validations.json').read_text())) == ['1', '2']


def test_a_finished_run_is_not_validated_again(data, copied, monkeypatch):
    monkeypatch.setattr(ValLoop, 'run', dies)
    runner(data, copied, epochs=3, keep=3, resume=True).train()


def test_checkpoints_within_epochs_are_refused(data, tmp_path):
    config = runner(data, tmp_path / 'work').cfg
    config.default_hooks.checkpoint.by_epoch = False
    config.experiment_name = 'within'
    with pytest.raises(ValueError, match=r'by_epoch=False saves within epochs.*IterBased'):
        Runner.from_cfg(config).train()


def test_stale_parts_and_outdated_checkpoints_are_cleared(data, copied):
    """Both are left by a kill at the wrong moment."""
    (copied / 'epoch_4.pth.0123abcd.partial').write_bytes(b'part')
    checkpoint = torch.load(copied / 'epoch_3.pth')
    checkpoint['message_hub']['runtime_info']['keep_ckpt_ids'] = [3]
    checkpoint['message_hub']['runtime_info']['outdated_ckpts'] = ['epoch_1.pth', 'epoch_2.pth']
    torch.save(checkpoint, copied / 'epoch_3.pth')
    best = next(copied.glob('best_*.pth'))
    for name in ('best_t2v_R1_epoch_99.pth', 'best_of_mine_epoch_99.pth'):
        shutil.copy(best, copied / name)
    resumed = runner(data, copied, epochs=4, keep=1, resume=True)
    resumed.train()
    assert sorted(path.name for path in copied.glob('epoch*')) == ['epoch_4.pth']
    kept = {path.name for path in copied.glob('best_*.pth')}
    assert len(kept) == 2
    assert 'best_of_mine_epoch_99.pth' in kept
    assert 'best_t2v_R1_epoch_99.pth' not in kept


def share_worker(rank, world_size, root):
    os.environ['LOCAL_RANK'] = '0'  # every process is a node
    dist.init_process_group('gloo', init_method=f'file://{root}/rendezvous', rank=rank,
                            world_size=world_size)
    sharing._CHUNK_BYTES = 1000
    for fault in ('none', 'write', 'read'):
        if fault == 'read' and rank == 0:
            sharing._chunks = lambda path: iter([b'short'])
            sharing._size_and_digest = lambda path: (12345, 'digest')
        named = f'{root}/{fault}/node0/epoch_1.pth'
        try:
            path = share_checkpoint(named, f'{root}/{fault}/node{rank}')
            assert Path(path).read_bytes() == Path(named).read_bytes()
            said = Path(path).name
        except OSError as error:
            said = str(error)
        Path(root, fault, f'said{rank}').write_text(said)
    leave_process_group()


def test_nodes_that_lack_the_checkpoint_receive_it_or_all_stop(tmp_path):
    for fault in ('none', 'write', 'read'):
        for node in range(3):
            (tmp_path / fault / f'node{node}').mkdir(parents=True)
        (tmp_path / fault / 'node0' / 'epoch_1.pth').write_bytes(os.urandom(12345))
        (tmp_path / fault / 'node2' / 'epoch_1.pth').write_bytes(b'of an earlier run')
    (tmp_path / 'write' / 'node1' / 'received.pth').mkdir()  # which nobody can write to
    run_ranks(share_worker, 3, str(tmp_path))
    said = {fault: [(tmp_path / fault / f'said{rank}').read_text() for rank in range(3)]
            for fault in ('none', 'write', 'read')}
    assert said['none'] == ['epoch_1.pth', 'received.pth', 'received.pth']
    assert (tmp_path / 'none' / 'node2' / 'epoch_1.pth').read_bytes() == b'of an earlier run'
    for fault, culprit in (('write', 'rank 1: '), ('read', 'rank 0: ')):
        assert len(set(said[fault])) == 1
        assert 'could not be sent' in said[fault][0]
        assert culprit in said[fault][0]
