"""Two nodes that share no folder train and resume as one process does."""
import os
import shutil
import subprocess
import sys

import torch

from ..tiny import ROOT, run_config, write_dataset
from .test_train_and_test import command, free_port, weights

EVERYTHING_SAME = ('optim_wrapper.optimizer.type=SGD', 'optim_wrapper.optimizer.lr=0.1')


def two_nodes(folder, config, *options):
    """Train on two nodes of one process each; return what they print."""
    environment = {**os.environ, 'PYTHON': sys.executable, 'OMP_NUM_THREADS': '1', 'NNODES': '2',
                   'PORT': free_port()}
    nodes = []
    for rank in range(2):
        (folder / f'node{rank}').mkdir(exist_ok=True)
        nodes.append(subprocess.Popen(
            ['bash', ROOT / 'tools' / 'dist_train.sh', config, '1', '--work-dir', 'work', *options,
             '--cfg-options', *EVERYTHING_SAME],
            cwd=folder / f'node{rank}', env={**environment, 'NODE_RANK': str(rank)}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT))
    try:
        outputs = [node.communicate(timeout=240)[0] for node in nodes]
    finally:
        for node in nodes:
            node.kill()
    return [node.returncode for node in nodes], outputs


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
