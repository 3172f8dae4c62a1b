"""What a checkpoint says of files is taken for names of its own kind, and never for a path."""
import os
import shutil
from pathlib import Path

import pytest
import torch
from mmengine.runner import Runner

from mmc2v.engine.checkpoint.files import find_whole_checkpoint
from mmc2v.engine.checkpoint.names import keep_only_names

from ...tiny import run_config, write_dataset


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """The data, and the work dir of a run of two epochs."""
    folder = tmp_path_factory.mktemp('trained')
    write_dataset(folder / 'data', num_videos=5)
    run(folder / 'data', folder / 'work', epochs=2)
    return folder / 'data', folder / 'work'


def run(data, work_dir, epochs, filename_tmpl='epoch_{}.pth', **kwargs):
    config = run_config(data, work_dir, epochs=epochs, log_level='WARNING',
                        experiment_name=os.urandom(4).hex(), **kwargs)
    config.default_hooks.checkpoint.update(filename_tmpl=filename_tmpl, max_keep_ckpts=2)
    Runner.from_cfg(config).train()


def test_a_checkpoint_deletes_no_file_but_its_like(trained, tmp_path):
    data, original = trained
    work_dir = tmp_path / 'work'
    shutil.copytree(original, work_dir)
    victims = [tmp_path / 'victim.txt', tmp_path / 'epoch_1.pth', tmp_path / 'best.pth',
               work_dir / 'notes.txt', work_dir / 'best_notes.txt', work_dir / 'epoch_7.pth.txt']
    for path in (*victims, work_dir / 'epoch_90.pth'):
        path.touch()
    checkpoint = torch.load(work_dir / 'epoch_2.pth')
    info = checkpoint['message_hub']['runtime_info']
    info['outdated_ckpts'] = [
        '../victim.txt', str(victims[0]), '../epoch_1.pth', str(tmp_path / 'epoch_1.pth'),
        'notes.txt', 'best_notes.txt', 'epoch_7.pth.txt', '..', '', 7, 'epoch_2.pth',
        'epoch_90.pth']
    info.update(last_ckpt=str(victims[1]), best_ckpt=str(work_dir / 'notes.txt'), best_score=-1.0,
                keep_ckpt_ids=['../epoch_1', '/victim', 1, 2])
    torch.save(checkpoint, work_dir / 'epoch_2.pth')
    run(data, work_dir, epochs=3, resume=True)
    assert [path for path in victims if not path.exists()] == []
    assert sorted(path.name for path in work_dir.glob('epoch_*.pth')) == [
        'epoch_2.pth', 'epoch_3.pth']
    resumed = torch.load(work_dir / 'epoch_3.pth')['message_hub']['runtime_info']
    assert resumed['last_ckpt'] == str(work_dir / 'epoch_3.pth')
    assert Path(resumed['best_ckpt']).parent == work_dir


def test_numbers_of_kept_checkpoints_are_no_part_of_a_path(trained, tmp_path):
    data, original = trained
    work_dir = tmp_path / 'work'
    work_dir.mkdir()
    checkpoint = torch.load(original / 'epoch_2.pth')
    checkpoint['message_hub']['runtime_info']['keep_ckpt_ids'] = ['../victim', 1, 2, 3]
    torch.save(checkpoint, work_dir / '2.pth')
    (tmp_path / 'victim.pth').touch()
    run(data, work_dir, epochs=3, filename_tmpl='{}.pth', resume=True)
    assert (tmp_path / 'victim.pth').exists()


@pytest.mark.parametrize('value', [None, 'epoch_1.pth', 5, {'epoch_1.pth': 0}])
def test_entries_that_are_no_lists_are_empty(value):
    info = dict(outdated_ckpts=value, keep_ckpt_ids=value)
    keep_only_names(info, '.', 'epoch_{}.pth', {})
    assert info == dict(outdated_ckpts=[], keep_ckpt_ids=[])


def test_best_checkpoints_are_found_by_their_names_in_this_folder(tmp_path):
    names = {'best_ckpt_t2v/R1': 'best_t2v_R1_epoch_2.pth', 'best_ckpt_loss': 'best_x_epoch_1.pth'}
    for name in names.values():
        (tmp_path / name).touch()
    info = {key: f'/elsewhere/{name}' for key, name in names.items()}
    keep_only_names(info, str(tmp_path), 'epoch_{}.pth',
                    {'best_ckpt_t2v/R1': 't2v/R1', 'best_ckpt_loss': 'loss', 'best_ckpt_R5': 'R5'})
    assert info == {'best_ckpt_t2v/R1': str(tmp_path / 'best_t2v_R1_epoch_2.pth'),
                    'best_ckpt_loss': None}


def test_a_copied_work_dir_resumes_from_its_own_file(trained, tmp_path):
    _, original = trained
    shutil.copytree(original, tmp_path / 'copy')
    assert (tmp_path / 'copy' / 'last_checkpoint').read_text() == str(original / 'epoch_2.pth')
    found = find_whole_checkpoint(str(tmp_path / 'copy'))
    assert found == str(tmp_path / 'copy' / 'epoch_2.pth')


def test_a_config_in_a_checkpoint_is_not_run(trained, tmp_path):
    data, original = trained
    shutil.copytree(original, tmp_path / 'work')
    checkpoint = torch.load(original / 'epoch_2.pth')
    checkpoint['meta']['config'] = f"open({str(tmp_path / 'ran')!r}, 'w')"
    torch.save(checkpoint, tmp_path / 'work' / 'epoch_2.pth')
    run(data, tmp_path / 'work', epochs=2, resume=True)
    assert not (tmp_path / 'ran').exists()
