"""What stands on the console, and what in the log file alone."""
import argparse
import warnings

import pytest
import torch
from launch.quiet_runner import QuietRunner
from launch.run_summary import log_summary, start_of_training
from launch.runner import build_runner
from mmengine.runner import Runner

from mmc2v.engine import EvaluationProgressHook
from mmc2v.engine.hooks import evaluation_progress

from ...tiny import run_config, write_dataset


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data')
    write_dataset(folder)
    return folder


def build(data, work_dir, name, **kwargs):
    arguments = argparse.Namespace(cfg_options=['train_cfg.max_epochs=1'], verbose=False)
    verbose = kwargs.pop('verbose', False)
    arguments.verbose = verbose
    return build_runner(run_config(data, work_dir, epochs=1, experiment_name=name, **kwargs),
                        arguments)


DUMPS = ('System environment:', 'Config:', 'Hooks will be executed', 'parameters: lr=',
         'SyncBatchNorm', '"FileClient" will be deprecated', 'Exp name')


def test_dumps_are_in_the_log_file_and_lines_for_people_on_the_console(data, tmp_path, capsys):
    runner = build(data, tmp_path, 'quiet')
    assert isinstance(runner, QuietRunner)
    log_summary(runner, training=runner.train_loop.dataloader, test=runner.test_loop.dataloader)
    runner.train()
    shown = capsys.readouterr().out
    log = next(tmp_path.glob('*/*.log')).read_text()
    for dump in DUMPS:
        assert dump in log
        assert dump not in shown
    assert 'Epoch(train) [1][6/6]' in shown
    assert 'data, training: 9 videos, 18 captions, 6 batches of 3' in shown
    assert 'data, test: 9 videos, 18 captions, 3 batches of 3' in shown
    count = sum(parameter.numel() for parameter in runner.model.parameters())
    assert f'model CLIP2Video: {count:,} parameters\n' in shown
    assert 'neck           TemporalDifferenceBlock: ' in shown
    assert str(next(tmp_path.glob('*/*.log'))) in shown
    assert shown.index('this run') < shown.index('Epoch(train)')
    before = shown.split('Epoch(train)')[0]
    assert len(before.splitlines()) < 16


def test_verbose_shows_everything(data, tmp_path, capsys):
    runner = build(data, tmp_path, 'verbose', verbose=True)
    assert type(runner) is Runner
    shown = capsys.readouterr().out
    assert 'System environment:' in shown
    assert 'Hooks will be executed' in shown


def test_start_is_said(data, tmp_path):
    runner = build(data, tmp_path, 'start')
    assert start_of_training(runner) == 'starting from random weights'
    runner.model.pretrained = 'openai'
    assert start_of_training(runner) == "starting from the CLIP weights 'openai'"
    runner.cfg.load_from = 'a.pth'
    assert start_of_training(runner) == "starting from the checkpoint 'a.pth'"
    runner.cfg.resume = True
    assert start_of_training(runner) == "resuming from 'a.pth'"
    runner.cfg.load_from = None
    assert start_of_training(runner).startswith('resuming from the newest checkpoint')
    runner.model.requires_grad_(False)
    runner.cfg.resume = False
    del runner.model.pretrained
    assert 'parts name' in start_of_training(runner)


def test_frozen_parameters_are_counted(data, tmp_path, capsys):
    runner = build(data, tmp_path, 'frozen')
    runner.model.backbone.requires_grad_(False)
    capsys.readouterr()
    log_summary(runner)
    shown = capsys.readouterr().out
    assert 'backbone       CLIPVisionTower: ' in shown
    assert ', 0 of them trained' in shown


@pytest.mark.parametrize('interval', [20, 2])
def test_long_iterations_of_evaluation_are_logged_once(data, tmp_path, monkeypatch, capsys,
                                                       interval):
    now = [0.0]
    monkeypatch.setattr(evaluation_progress.time, 'monotonic', lambda: now[0])
    runner = build(data, tmp_path, f'progress{interval}', **{
        'default_hooks.logger.interval': interval})
    hook = next(hook for hook in runner.hooks if isinstance(hook, EvaluationProgressHook))
    original = hook._after_iter

    def slow(*args, **kwargs):
        now[0] += 10
        return original(*args, **kwargs)
    monkeypatch.setattr(hook, '_after_iter', slow)
    torch.manual_seed(0)
    runner.test()
    shown = capsys.readouterr().out
    # iterations of ten seconds; with an interval of 2 the line is LoggerHook's own
    assert [shown.count(f'Epoch(test) [{step}/3]    eta: ') for step in (1, 2, 3)] == [0, 1, 0]


def test_only_that_warning_of_mmcv_lite_is_hidden():
    from command_line import run

    def main():
        warnings.warn('Fail to import ``MultiScaleDeformableAttention`` from x', stacklevel=1)
        warnings.warn('another', stacklevel=1)
        return 3
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter('always')
        assert run(main) == 3
    assert [str(warning.message) for warning in seen] == ['another']
