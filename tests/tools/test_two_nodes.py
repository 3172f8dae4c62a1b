"""Two nodes that share no folder train and resume as one process does."""
import shutil

import torch

from ..processes import run_script_on_ranks
from ..tiny import run_config, write_dataset
from .test_train_and_test import command, weights

EVERYTHING_SAME = ('optim_wrapper.optimizer.type=SGD', 'optim_wrapper.optimizer.lr=0.1')


def two_nodes(folder, config, *options):
    """Train on two nodes of one process each; return what they print."""
    nodes = [folder / f'node{rank}' for rank in range(2)]
    for node in nodes:
        node.mkdir(exist_ok=True)
    ranks = run_script_on_ranks('tools/train.py', config, '--work-dir', 'work', *options,
                                '--cfg-options', *EVERYTHING_SAME, cwds=nodes)
    return [rank.returncode for rank in ranks], [rank.stdout + rank.stderr for rank in ranks]


def test_two_nodes_train_and_resume_as_one_process(tmp_path):
    write_dataset(tmp_path / 'data')
    config = run_config(tmp_path / 'data', tmp_path / 'unused', epochs=2)
    config.pop('work_dir')
    config.dump(tmp_path / 'tiny.py')
    codes, outputs = two_nodes(tmp_path, tmp_path / 'tiny.py')
    assert codes == [0, 0], outputs
    first, second = (tmp_path / f'node{rank}' / 'work' for rank in range(2))
    assert not list(second.glob('*.pth'))  # only the first node writes
    command('tools/train.py', tmp_path / 'tiny.py', '--work-dir', tmp_path / 'one',
            '--cfg-options', 'train_dataloader.batch_size=6', *EVERYTHING_SAME)
    whole, one = weights(first / 'epoch_2.pth'), weights(tmp_path / 'one' / 'epoch_2.pth')
    for key, value in one.items():
        torch.testing.assert_close(whole[key], value, atol=1e-5, rtol=1e-4, msg=key)
    shutil.copy(first / 'epoch_2.pth', tmp_path / 'whole.pth')
    (first / 'epoch_2.pth').write_bytes(b'cut off')
    codes, outputs = two_nodes(tmp_path, tmp_path / 'tiny.py', '--resume')
    assert codes == [0, 0], outputs
    assert 'resumed epoch: 1' in outputs[0]  # the other node logs errors alone
    assert 'newest whole checkpoint' in outputs[0]
    assert (second / 'received.pth').read_bytes() == (first / 'epoch_1.pth').read_bytes()
    whole, resumed = weights(tmp_path / 'whole.pth'), weights(first / 'epoch_2.pth')
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
