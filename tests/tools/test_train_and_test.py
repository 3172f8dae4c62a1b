"""Training, testing and resuming through the runner and through the scripts."""
import argparse
import json
import os
import shutil
import subprocess
import sys

import mmaction
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from mmc2v.evaluation import RetrievalEmbeddings
from mmc2v.registry import DATASETS

from ..models import golden
from ..processes import free_port, run_script, run_script_on_ranks
from ..tiny import ROOT, model_config, run_config, write_dataset


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Nine videos of 40 grid frames, of which four are sampled: jitter is active."""
    folder = tmp_path_factory.mktemp('data')
    write_dataset(folder)
    return folder


def weights(path):
    return torch.load(path, map_location='cpu')['state_dict']


@pytest.mark.parametrize('workers', [0, 2])
def test_resuming_gives_the_weights_of_an_uninterrupted_run(workers, data, tmp_path):
    def run(name, epochs, resume=False):
        config = run_config(data, tmp_path / name.split('-')[0], workers, epochs, resume=resume,
                            experiment_name=f'resume-{workers}-{name}')
        torch.manual_seed(99)  # whatever the state before, the run sets its own
        runner = Runner.from_cfg(config)
        runner.train()
        for loader in (runner.train_dataloader, runner.val_dataloader):
            if workers:  # the garbage collector would wait five seconds for each of them
                loader._iterator._shutdown_workers()
    run('whole', 2)
    run('parts-1', 1)
    torch.rand(7)
    run('parts-2', 2, resume=True)
    whole, parts = (weights(tmp_path / name / 'epoch_2.pth') for name in ('whole', 'parts'))
    assert set(whole) == set(parts)
    assert all(torch.equal(whole[key], parts[key]) for key in whole)
    first = weights(tmp_path / 'whole' / 'epoch_1.pth')
    assert not all(torch.equal(whole[key], first[key]) for key in whole)


def test_epochs_jitter_differently_in_that_run(data, tmp_path):
    dataset = DATASETS.build(run_config(data, tmp_path).train_dataloader.dataset)
    chosen = []
    for epoch in range(2):
        dataset.set_epoch(epoch, seed=0)
        chosen.append([dataset[i]['data_samples'].frame_inds.tolist() for i in range(9)])
    assert all(a != b for a, b in zip(*chosen))


def command(*args, env=None, check=True):
    """Run a script, or a command with this Python, in the project's root; return its output."""
    if args[0] == 'bash':
        done = subprocess.run([str(arg) for arg in args], capture_output=True, text=True, cwd=ROOT,
                              check=False, timeout=300, env={**os.environ, 'PYTHON': sys.executable,
                                                'OMP_NUM_THREADS': '1', **(env or {})})
    else:
        done = run_script(*args, env=env)
    output = done.stdout + done.stderr
    assert (done.returncode == 0) == check, output[-6000:]
    return output


@pytest.fixture(scope='module')
def trained(data, tmp_path_factory):
    """A config file, and its work dir after training by tools/train.py."""
    folder = tmp_path_factory.mktemp('trained')
    config = run_config(data, folder / 'unused', epochs=1)
    config.pop('work_dir')
    config.dump(folder / 'tiny.py')
    output = command('tools/train.py', folder / 'tiny.py', '--work-dir',
                     folder / 'work', '--amp', '--seed', '7')
    return folder, output


def test_train_script_takes_the_command_line_before_the_config(trained):
    folder, output = trained
    config = Config.fromfile(folder / 'work' / 'tiny.py')
    assert config.randomness.seed == 7  # the config says 0
    assert config.optim_wrapper.type == 'mmc2v.AutocastOptimWrapper'
    assert 'the contrastive batch' not in output  # this config names no recipe
    checkpoint = torch.load(folder / 'work' / 'epoch_1.pth')
    assert checkpoint['meta']['seed'] == 7
    assert list((folder / 'work').glob('best_t2v_R1_*.pth'))


def test_test_script_gives_what_training_measured_and_the_picture(trained):
    folder, output = trained
    shown = command('tools/test.py', folder / 'tiny.py',
                    folder / 'work' / 'epoch_1.pth', '--work-dir', folder / 'test', '--out',
                    folder / 'metrics.json', '--show-dir', folder / 'shown')
    metrics = json.loads((folder / 'metrics.json').read_text())
    table = [line.split() for line in shown.splitlines() if line.startswith(('T2V', 'V2T'))]
    assert float(table[0][1]) == pytest.approx(metrics['t2v/R1'], abs=0.06)
    for key in ('t2v/R1', 'v2t/MnR'):
        assert f'{key}: {metrics[key]:.4f}' in output  # the same as after the epoch of training
    assert (folder / 'shown' / 'retrieval.png').stat().st_size > 1000


EVERYTHING = ('--all-captions', '--dual-softmax', '--query-bank')


@pytest.fixture(scope='module')
def tested(trained, data):
    """Metrics and dump of one process, with everything that can be asked for."""
    folder, _ = trained
    command('bash', 'tools/dist_test.sh', folder / 'tiny.py', folder / 'work' / 'epoch_1.pth', 1,
            '--out', folder / 'one.json', '--work-dir', folder / 'one', '--dump',
            folder / 'one.npz', *EVERYTHING, data / 'all.json', '--query-bank-size', '7',
            env=dict(PORT=free_port()))
    return folder, json.loads((folder / 'one.json').read_text())


def with_published(folder, data, to):
    """Copy the config, and list a paper's figures for it in a metafile beside it."""
    to.mkdir(exist_ok=True)
    shutil.copy(folder / 'tiny.py', to)
    counts = json.loads((data / 'all.json').read_text())
    figures = '{R@1: 12.3, R@5: 45.6, R@10: 78.9, MdR: 4, MnR: 5.6}'
    (to / 'metafile.yml').write_text(f"""
Models:
  - Name: tiny
    Config: configs/tiny.py
    Published: {{Source: arXiv 0000.00000, Protocol: Data half, Videos: {len(counts)}, Captions: {
        sum(map(len, counts.values()))}, T2V: {figures}, V2T: {figures}}}
""")
    return to / 'tiny.py'


def test_a_papers_figures_are_shown_for_the_whole_test_set_alone(trained, data, tmp_path,
                                                                  monkeypatch, capsys):
    """In this process; the metafile lies beside the config."""
    folder, _ = trained
    with_published(folder, data, tmp_path)
    arguments = ['test.py', str(tmp_path / 'tiny.py'), str(folder / 'work' / 'epoch_1.pth'),
                 '--work-dir', str(tmp_path / 'work'), '--out', str(tmp_path / 'metrics.json'),
                 '--cfg-options', 'default_hooks.logger=None']
    shown = []
    for name, options in (('whole', []), ('subset', ['test_dataloader.dataset.indices=8'])):
        monkeypatch.setattr(sys, 'argv', [*arguments, f'experiment_name=figures-{name}', *options])
        golden.load_tool('test.py').main()
        shown.append(capsys.readouterr().out)
    assert "T2V, the paper's      12.3      45.6" in shown[0]
    assert "the paper's: arXiv 0000.00000, Data half; the authors' figures, not" in shown[0]
    assert '12.3' not in (tmp_path / 'metrics.json').read_text()
    assert '12.3' not in shown[1]
    assert "the paper's figures (arXiv 0000.00000, Data half) are not shown, as they do not " \
        'compare: 8 videos and ' in shown[1]


def test_two_processes_test_as_one_also_where_the_sampler_pads(tested, data):
    folder, one = tested
    config = with_published(folder, data, folder / 'listed')
    ranks = run_script_on_ranks(
        'tools/test.py', config, folder / 'work' / 'epoch_1.pth', '--out',
        folder / 'two.json', '--work-dir', folder / 'two', '--dump', folder / 'two.npz',
        *EVERYTHING, data / 'all.json', '--query-bank-size', '7', '--show-dir',
        folder / 'shown-by-two', cwds=[ROOT] * 2)
    assert [rank.returncode for rank in ranks] == [0, 0], ranks
    assert (folder / 'shown-by-two' / 'retrieval.png').stat().st_size > 1000
    tables = [[line for line in rank.stdout.splitlines() if line.startswith(('T2V', 'V2T'))]
              for rank in ranks]
    assert sum("the paper's" in line for line in tables[0]) == 2  # and none of dual softmax
    assert any(line.startswith('T2V with dual softmax') for line in tables[0])
    assert tables[1] == []
    two = json.loads((folder / 'two.json').read_text())
    assert one == two  # nine videos on two processes: one is padded
    assert {'v2t_all_captions/R1', 't2v_dsl/R1', 'v2t_dsl/MnR', 't2v_qbnorm/R1'} <= set(one)
    assert one['videos'] == 9
    first, second = (RetrievalEmbeddings.load(folder / f'{name}.npz') for name in ('one', 'two'))
    assert first.video_ids.tolist() == second.video_ids.tolist()
    assert first.captions.tolist() == second.captions.tolist()
    for name in ('video', 'text', 'query_bank'):
        np.testing.assert_allclose(getattr(first, name), getattr(second, name), atol=2e-6)


@pytest.mark.parametrize('name', ['one', 'two'])
def test_dump_is_evaluated_as_the_model_was(name, tested):
    folder, metrics = tested
    out = folder / f'{name}-again.json'
    shown = command('tools/analysis_tools/evaluate_dump.py',
                    folder / f'{name}.npz', '--out', out, *EVERYTHING)
    assert json.loads(out.read_text()) == metrics
    assert 'T2V with QB-Norm' in shown
    command('tools/analysis_tools/evaluate_dump.py', folder / f'{name}.npz',
            '--out', out)
    again = json.loads(out.read_text())
    assert again == {key: value for key, value in metrics.items()
                     if not any(word in key for word in ('all_captions', 'dsl', 'qbnorm'))}


def test_two_nodes_that_share_nothing_test_as_one(tested, tmp_path):
    folder, metrics = tested
    environment = {**os.environ, 'PYTHON': sys.executable, 'OMP_NUM_THREADS': '1', 'NNODES': '2',
                   'PORT': free_port()}
    nodes = []
    for rank in range(2):
        own = tmp_path / f'node{rank}'
        own.mkdir()
        nodes.append(subprocess.Popen(
            ['bash', ROOT / 'tools' / 'dist_test.sh', folder / 'tiny.py',
             folder / 'work' / 'epoch_1.pth', '1', '--out', 'metrics.json'],
            cwd=own, env={**environment, 'NODE_RANK': str(rank)}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT))
    try:
        outputs = [node.communicate(timeout=240)[0] for node in nodes]
    finally:
        for node in nodes:
            node.kill()
    assert [node.returncode for node in nodes] == [0, 0], outputs
    found = json.loads((tmp_path / 'node0' / 'metrics.json').read_text())
    assert found == {key: metrics[key] for key in found}
    assert 't2v/R1' in found


def test_two_processes_train(trained, tmp_path):
    folder, _ = trained
    output = command('bash', 'tools/dist_train.sh', folder / 'tiny.py', 2, '--work-dir',
                     tmp_path / 'work', '--cfg-options', 'auto_scale_lr.base_batch_size=128',
                     'optim_wrapper.optimizer.type=SGD', 'optim_wrapper.optimizer.lr=0.1',
                     env=dict(PORT=free_port()))
    assert 'Epoch(train)' in output
    assert '3 x 2 ranks = 6, the recipe expects 128' in output
    # one process with the whole batch of six sees the same items and ends with the same weights
    command('tools/train.py', folder / 'tiny.py', '--work-dir', tmp_path / 'one',
            '--cfg-options', 'train_dataloader.batch_size=6', 'optim_wrapper.optimizer.type=SGD',
            'optim_wrapper.optimizer.lr=0.1')
    two, one = (weights(tmp_path / name / 'epoch_1.pth') for name in ('work', 'one'))
    assert set(two) == set(one)
    for key, value in one.items():
        torch.testing.assert_close(two[key], value, atol=1e-5, rtol=1e-4, msg=key)
    start = weights(folder / 'work' / 'epoch_1.pth')
    assert not all(torch.equal(one[key], start[key]) for key in start)


def test_mmaction2s_own_train_script_runs_our_config(trained, tmp_path):
    folder, _ = trained
    script = f'{mmaction.__path__[0]}/.mim/tools/train.py'
    # by a new Python, in which the config alone imports mmc2v
    subprocess.run([sys.executable, script, folder / 'tiny.py', '--work-dir', tmp_path / 'work'],
                   cwd=ROOT, check=True, env={**os.environ, 'OMP_NUM_THREADS': '1'})
    assert (tmp_path / 'work' / 'epoch_1.pth').exists()


def test_no_validate_and_auto_scale_lr(trained, tmp_path):
    folder, _ = trained
    command('tools/train.py', folder / 'tiny.py', '--work-dir', tmp_path / 'work',
            '--no-validate', '--auto-scale-lr', '--cfg-options',
            'auto_scale_lr.base_batch_size=12')
    log = next((tmp_path / 'work').glob('*/*.log')).read_text()
    assert 'Epoch(val)' not in log
    assert 'LR is set based on' in log
    output = command('tools/train.py', folder / 'tiny.py', '--work-dir',
                     tmp_path / 'other', '--auto-scale-lr', check=False)
    assert '--auto-scale-lr needs auto_scale_lr' in output


def test_empty_epoch_says_what_to_do(trained, tmp_path):
    folder, _ = trained
    output = command('tools/train.py', folder / 'tiny.py', '--work-dir',
                     tmp_path / 'work', '--cfg-options', 'train_dataloader.batch_size=50',
                     'param_scheduler.0.convert_to_iter_based=True', check=False)
    assert 'error: an epoch has no batch' in output
    assert 'do not fill one batch of 50' in output


def test_shared_videos_are_refused_before_weights_are_looked_for(trained, tmp_path):
    folder, _ = trained
    output = command('tools/train.py', folder / 'tiny.py', '--work-dir',
                     tmp_path / 'work', '--cfg-options', 'model.pretrained=/gone/clip.pt',
                     'custom_hooks.3.allow=[]', check=False)
    assert 'error: 9 of the 9 videos of' in output
    assert '/gone/clip.pt' not in output.split('error: ')[1]


def test_resuming_needs_no_pretrained_file(trained, tmp_path):
    folder, _ = trained
    shutil.copytree(folder / 'work', tmp_path / 'work')
    output = command('tools/train.py', folder / 'tiny.py', '--work-dir',
                     tmp_path / 'work', '--resume', '--cfg-options', 'train_cfg.max_epochs=2',
                     'model.pretrained=/gone/clip.pt')
    assert 'resumed epoch: 1' in output
    assert (tmp_path / 'work' / 'epoch_2.pth').exists()


def test_scripts_without_arguments_say_how_they_are_used():
    for script in ('dist_train.sh', 'dist_test.sh'):
        assert 'usage: ' in command('bash', f'tools/{script}', 'config.py', check=False)


def test_checkpoint_of_another_variant_is_refused(trained, tmp_path):
    folder, _ = trained
    output = command('tools/test.py', folder / 'tiny.py',
                     folder / 'work' / 'epoch_1.pth', '--work-dir', tmp_path, '--cfg-options',
                     'model.neck.num_layers=2', check=False)
    assert "is not a checkpoint of this config's model" in output
    assert 'neck.transformer.resblocks.1' in output


def test_without_checkpoint_random_parameters_are_refused_and_clip_weights_serve(data, tmp_path):
    import open_clip

    from ..tiny import ARCH
    torch.save(open_clip.CLIP(**ARCH).state_dict(), tmp_path / 'clip.pt')
    pretrained = dict(pretrained=str(tmp_path / 'clip.pt'))
    for name, model, runs in (
            ('full', model_config(**pretrained), False),  # the centres would be random
            ('scratch', model_config('mean', alignment=False), False),
            ('mean', model_config('mean', alignment=False, **pretrained), True)):
        config = run_config(data, tmp_path / name)
        config.model = model
        config.dump(tmp_path / f'{name}.py')
        output = command('tools/test.py', tmp_path / f'{name}.py', check=runs)
        if runs:
            assert 'no checkpoint given: evaluating the CLIP weights' in output
            assert 'T2V' in output
        else:
            assert 'these parameters would be random' in output
            assert ('head.alignment.weight_center' in output) == (name == 'full')


def test_amp_is_refused_where_it_would_be_ignored():
    train = golden.load_tool('train.py')
    with pytest.raises(ValueError, match='ApexOptimWrapper'):
        train.use_autocast(Config(dict(type='ApexOptimWrapper')))
    wrapper = Config(dict(type='AmpOptimWrapper', loss_scale='dynamic', clip_grad=None))
    train.use_autocast(wrapper)
    assert dict(wrapper) == dict(type='mmc2v.AutocastOptimWrapper', clip_grad=None)


def test_test_script_refuses_what_the_metric_could_not_do():
    test = golden.load_tool('test.py')
    config = Config(dict(test_evaluator=dict(type='AccMetric')))
    arguments = dict(config='c.py', checkpoint=None, dump=None, all_captions=False,
                     dual_softmax=True, query_bank=None, show_dir=None)
    with pytest.raises(ValueError, match='AccMetric'):
        test.add_outputs(config, argparse.Namespace(**arguments))
    with pytest.raises(ValueError, match=r"must name an \.npz file, got 'x\.pkl'"):
        test.add_outputs(config, argparse.Namespace(**{**arguments, 'dump': 'x.pkl'}))


def test_undecodable_and_missing_test_videos_are_counted(trained, data, tmp_path):
    folder, _ = trained
    shutil.copytree(data, tmp_path / 'data')
    (tmp_path / 'data' / 'videos' / '3.mp4').write_bytes(b'broken')
    (tmp_path / 'data' / 'report.json').write_text(json.dumps(dict(  # as a converter writes it
        data_set='VATEX', protocol='hgr', splits=dict(all=dict(
            videos=9, listed_videos=12, missing=['a', 'b', 'c'])))))
    options = ['--work-dir', tmp_path / 'work', '--out', tmp_path / 'metrics.json',
               '--cfg-options', f'test_dataloader.dataset.data_root={tmp_path / "data"}']
    script = ('tools/test.py', folder / 'tiny.py',
              folder / 'work' / 'epoch_1.pth', *options)
    assert 'undecodable_as_miss=True' in command(*script, check=False)
    shown = command(*script, 'test_dataloader.dataset.undecodable_as_miss=True')
    metrics = json.loads((tmp_path / 'metrics.json').read_text())
    assert (metrics['videos'], metrics['undecodable']) == (9, 1)
    assert ('3 of the 12 videos that the protocol lists are missing (25.0%); 1 undecodable '
            '(11.1%), counted as not found') in shown
    assert (metrics['listed_videos'], metrics['missing']) == (12, 3)
    assert '3.mp4 counts as not found' in shown
