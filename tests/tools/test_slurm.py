"""What the Slurm scripts ask for, recorded by a stand-in for srun."""
import os
import subprocess

import pytest

from ..tiny import ROOT


@pytest.fixture
def slurm(tmp_path):
    """Run a script; return what srun was called with."""
    srun = tmp_path / 'srun'
    srun.write_text('#!/bin/sh\nprintf "%s\\n" "$@" "MASTER_PORT=$MASTER_PORT"\n')
    srun.chmod(0o755)

    def call(script, *args, expect=0, **variables):
        done = subprocess.run(
            ['bash', ROOT / 'tools' / script, *args], capture_output=True, text=True, check=False,
            env=dict(os.environ, PATH=f'{tmp_path}:{os.environ["PATH"]}', **variables))
        assert done.returncode == expect, done.stderr
        return (done.stdout if expect == 0 else done.stderr).splitlines()

    return call


@pytest.mark.parametrize(('variables', 'per_node', 'tasks'), [
    ({}, 8, 8), ({'GPUS': '4'}, 4, 4), ({'GPUS': '16'}, 8, 16),
    ({'GPUS': '16', 'GPUS_PER_NODE': '4'}, 4, 16), ({'GPUS': '1'}, 1, 1),
])
def test_no_more_gpus_of_a_node_than_are_used(variables, per_node, tasks, slurm):
    said = slurm('slurm_train.sh', 'gpu', 'mine', 'a.py', **variables)
    assert said[:2] == ['-p', 'gpu']
    assert {'--job-name=mine', f'--gres=gpu:{per_node}', f'--ntasks={tasks}',
            f'--ntasks-per-node={per_node}', '--cpus-per-task=5',
            '--kill-on-bad-exit=1'} <= set(said)


def test_training_and_testing_pass_their_options_on(slurm):
    train = slurm('slurm_train.sh', 'gpu', 'mine', 'a.py', '--resume', PYTHON='mypython',
                  SRUN_ARGS='--time=1 --exclusive', MASTER_PORT='12345')
    assert train[-8:] == ['mypython', '-u', f'{ROOT}/tools/train.py', 'a.py', '--launcher', 'slurm',
                          '--resume', 'MASTER_PORT=12345']
    assert {'--time=1', '--exclusive'} <= set(train)
    test = slurm('slurm_test.sh', 'gpu', 'mine', 'a.py', 'b c.pth', '--dump', 'd.npz')
    assert test[-8:-1] == [f'{ROOT}/tools/test.py', 'a.py', '--launcher', 'slurm', 'b c.pth',
                           '--dump', 'd.npz']


@pytest.mark.parametrize('script', ['slurm_train.sh', 'slurm_test.sh'])
def test_too_few_arguments_are_explained(script, slurm):
    assert slurm(script, 'gpu', 'mine', expect=2)[0].startswith('usage: bash ')
