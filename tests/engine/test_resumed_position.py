"""Resuming with another number of iterations an epoch."""
import os
import shutil

import pytest
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch import nn
from torch.optim import SGD

from mmc2v.engine import WarmupCosineLR

from ..tiny import run_config, write_dataset

STOCK = [dict(type='LinearLR', start_factor=0.01, begin=0, end=0.5, by_epoch=True,
              convert_to_iter_based=True),
         dict(type='CosineAnnealingLR', begin=0.5, end=4, by_epoch=True,
              convert_to_iter_based=True)]
OURS = [dict(type='mmc2v.WarmupCosineLR', by_epoch=False, warmup=0.125)]


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data') / 'data'
    write_dataset(folder, num_videos=9)  # 18 captions: six batches of three
    return folder


def build(data, work_dir, batch_size=3, epochs=4, rescale=False, **kwargs):
    config = run_config(data, work_dir, log_level='WARNING', epochs=epochs,
                        experiment_name=os.urandom(4).hex(), **kwargs)
    config.train_dataloader.batch_size = batch_size
    config.default_hooks.checkpoint.update(rescale_schedule=rescale)
    runner = Runner.from_cfg(config)
    runner.rates = []
    step = runner.model.train_step

    def watched(*args, **kwargs):
        runner.rates.append(runner.optim_wrapper.param_groups[0]['lr'])
        return step(*args, **kwargs)
    runner.model.train_step = watched
    return runner


@pytest.fixture(scope='module')
def trained(data, tmp_path_factory):
    """A run of which two of four epochs are trained, by each kind of schedule."""
    folder = tmp_path_factory.mktemp('trained')
    for name, schedulers in (('ours', OURS), ('stock', STOCK)):
        runner = build(data, folder / name, param_scheduler=schedulers)
        runner._hooks[0].after_train_epoch = lambda runner: setattr(
            runner.train_loop, 'stop_training', runner.epoch == 1)
        runner.train()
        assert runner.iter == 12
    return folder


def schedule(batches, epochs=4):
    wrapper = OptimWrapper(SGD([nn.Parameter(nn.Linear(1, 1).weight)], lr=1e-3))
    scheduler = WarmupCosineLR(wrapper, warmup=0.125, end=batches * epochs, by_epoch=False)
    found = []
    for _ in range(batches * epochs):
        found.append(wrapper.param_groups[0]['lr'])
        wrapper.step()
        scheduler.step()
    return found


@pytest.mark.parametrize(('batch_size', 'length'), [(2, 9), (9, 2)])
def test_another_number_of_iterations_an_epoch_is_refused(batch_size, length, data, trained,
                                                          tmp_path):
    shutil.copytree(trained / 'ours', tmp_path / 'work')
    runner = build(data, tmp_path / 'work', batch_size, resume=True, param_scheduler=OURS)
    with pytest.raises(ValueError, match=f'an epoch had 6 iterations .* has {length} now.*'
                       r'checkpoint\.rescale_schedule=True'):
        runner.train()
    assert runner.rates == []


@pytest.mark.parametrize('kind', ['ours', 'stock'])
@pytest.mark.parametrize(('batch_size', 'length'), [(2, 9), (9, 2), (18, 1)])
def test_rescaled_the_share_of_the_schedule_is_kept(kind, batch_size, length, data, trained,
                                                    tmp_path, monkeypatch):
    monkeypatch.setattr('mmengine.runner.ValLoop.run', lambda loop: None)
    shutil.copytree(trained / kind, tmp_path / 'work')
    runner = build(data, tmp_path / 'work', batch_size, rescale=True, resume=True,
                   param_scheduler=OURS if kind == 'ours' or length == 1 else STOCK)
    runner.train()
    assert (runner.epoch, runner.iter) == (4, 4 * length)
    wanted = schedule(length)[2 * length:]
    if kind == 'stock':  # which goes on by ratios of what it has
        assert runner.rates == pytest.approx(wanted, abs=7e-5)
    else:
        assert runner.rates == wanted


def test_a_validation_is_not_repeated_after_rescaling(data, trained, tmp_path, monkeypatch):
    shutil.copytree(trained / 'ours', tmp_path / 'work')
    monkeypatch.setattr('mmengine.runner.ValLoop.run', lambda loop: pytest.fail('validated'))
    build(data, tmp_path / 'work', 9, epochs=2, rescale=True, resume=True,
          param_scheduler=OURS).train()


def test_a_checkpoint_of_a_loop_of_iterations_is_none_of_epochs(data, tmp_path):
    runner = build(data, tmp_path, val_cfg=None, val_dataloader=None, val_evaluator=None)
    config = runner.cfg
    config.default_hooks.checkpoint.update(by_epoch=False, save_best=None)
    config.experiment_name = 'iterations'
    config.param_scheduler = []
    config.train_cfg = dict(type='IterBasedTrainLoop', max_iters=2)
    Runner.from_cfg(config).train()
    later = build(data, tmp_path, resume=True, load_from=str(tmp_path / 'iter_2.pth'))
    with pytest.raises(ValueError, match='of a loop of iterations, after 2 of them'):
        later.train()
