"""Checkpoints are whole or absent, and resuming finds the right one."""
import os
import shutil
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from mmengine.runner import Runner

from mmc2v.engine import checkpoint_files
from mmc2v.engine.checkpoint_files import find_whole_checkpoint, share_checkpoint, write_whole

from ..tiny import run_config, spawn, write_dataset
from ..tools import kill_and_resume


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


def test_kills_at_any_moment_lose_nothing(tmp_path):
    """`make kill-test` does it more often."""
    counts = kill_and_resume.run(tmp_path, 5, seed=3)
    assert counts['kills'] == 5
    assert counts['failed'] == 0
    assert counts['different'] == []


def test_a_file_is_old_or_new_and_never_between(tmp_path, monkeypatch):
    path = tmp_path / 'folder' / 'file'
    write_whole(path, b'old')
    monkeypatch.setattr(os, 'replace', lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        write_whole(path, b'new content')
    assert path.read_bytes() == b'old'
    monkeypatch.undo()
    write_whole(path, b'new content')
    assert path.read_bytes() == b'new content'
    assert os.listdir(path.parent) == ['file']


def test_the_old_checkpoint_goes_after_the_new_one_is_named(data, tmp_path, monkeypatch):
    seen = []
    write = write_whole

    def watch(path, content):
        seen.append((Path(path).name, sorted(p.name for p in Path(path).parent.glob('epoch*.pth'))))
        write(path, content)
    monkeypatch.setattr(checkpoint_files, 'write_whole', watch)
    monkeypatch.setattr('mmc2v.engine.checkpoints.write_whole', watch)
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
                                   'named file cut off', 'named file without optimizer', 'moved'])
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
    elif fault == 'named file without optimizer':
        checkpoint = torch.load(named)
        del checkpoint['optimizer']
        torch.save(checkpoint, named)
    else:
        pointer.write_text('/of/another/machine/epoch_3.pth')
        expected = 'epoch_3.pth'
    said = []
    original, checkpoint_files.print_log = checkpoint_files.print_log, \
        lambda text, **kwargs: said.append(text)
    try:
        assert find_whole_checkpoint(str(copied)) == str(copied / expected)
    finally:
        checkpoint_files.print_log = original
    assert bool(said) == (fault != 'moved')
    if fault.startswith('named'):
        assert 'epoch_3.pth' in said[0]
        assert {'named file missing': 'it does not exist', 'named file cut off':
                'it cannot be read', 'named file without optimizer': "no ['optimizer']"}[
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


def test_an_interrupted_validation_is_done_first(data, copied):
    """The checkpoint of an epoch is written before its validation."""
    whole = (copied / 'validations.json').read_text()
    for name in ('last_validation', 'best_and_last.json'):
        (copied / name).unlink()
    (copied / 'validations.json').write_text('{}')
    resumed = runner(data, copied, epochs=3, keep=3, resume=True)
    resumed.train()
    assert resumed.epoch == 3
    import json
    assert json.loads((copied / 'validations.json').read_text()) == {
        '3': json.loads(whole)['3']}
    assert (copied / 'best_and_last.json').exists()
    assert (copied / 'last_validation').read_text() == '3'


def test_stale_parts_and_outdated_checkpoints_are_cleared(data, copied):
    """Both are left by a kill at the wrong moment."""
    (copied / 'epoch_4.pth.partial').write_bytes(b'part')
    checkpoint = torch.load(copied / 'epoch_3.pth')
    checkpoint['message_hub']['runtime_info']['keep_ckpt_ids'] = [3]
    checkpoint['message_hub']['runtime_info']['outdated_ckpt_ids'] = [1, 2]
    torch.save(checkpoint, copied / 'epoch_3.pth')
    best = next(copied.glob('best_*.pth'))
    for name in ('best_t2v_R1_epoch_99.pth', 'best_of_mine_epoch_99.pth'):
        shutil.copy(best, copied / name)
    resumed = runner(data, copied, epochs=4, keep=1, resume=True)
    resumed.train()
    assert sorted(path.name for path in copied.glob('epoch*')) == ['epoch_4.pth']
    kept = {path.name for path in copied.glob('best_*')}
    assert len(kept) == 2
    assert 'best_of_mine_epoch_99.pth' in kept
    assert 'best_t2v_R1_epoch_99.pth' not in kept


def share_worker(rank, world_size, folder):
    os.environ['LOCAL_RANK'] = '0'  # every process is a node
    dist.init_process_group('gloo', init_method=f'file://{folder}/rendezvous', rank=rank,
                            world_size=world_size)
    checkpoint_files._CHUNK_BYTES = 1000
    own = Path(folder, f'node{rank}')
    path = share_checkpoint(f'{folder}/node0/epoch_1.pth' if rank == 0 else 'elsewhere/epoch_1.pth',
                            str(own))
    assert path == str(own / 'epoch_1.pth')
    dist.destroy_process_group()


def test_nodes_that_do_not_see_the_checkpoint_receive_it(tmp_path):
    content = os.urandom(12345)
    for node in range(3):
        (tmp_path / f'node{node}').mkdir()
    (tmp_path / 'node0' / 'epoch_1.pth').write_bytes(content)
    (tmp_path / 'node2' / 'epoch_1.pth').write_bytes(b'of an earlier run')
    spawn(share_worker, 3, str(tmp_path))
    for node in range(3):
        assert (tmp_path / f'node{node}' / 'epoch_1.pth').read_bytes() == content
