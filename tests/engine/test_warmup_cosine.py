"""The recipes' schedule: values, length, and what it takes up when a run is resumed."""
import os

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import CosineAnnealingLR, LinearLR, OptimWrapper
from mmengine.runner import Runner
from torch import nn

from mmc2v.engine import WarmupCosineLR

from ..tiny import ROOT, run_config, write_dataset


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data') / 'data'
    write_dataset(folder, num_videos=9)
    return folder


def optimizer(lr=1.0):
    return OptimWrapper(torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr))


def rates(wrapper, schedulers, steps):
    """Return the learning rate of each iteration."""
    found = []
    for _ in range(steps):
        found.append(wrapper.param_groups[0]['lr'])
        wrapper.step()
        for scheduler in schedulers:
            scheduler.step()
    return found


@pytest.mark.parametrize(('config', 'end', 'warmup', 'start', 'least'), [
    # in epochs, or in iterations where the config counts those; a unit has any length here
    ('_base_/schedule_5e.py', 5, 0.5, 1e-3, 0), ('_base_/moving_shapes.py', 8, 1, 0.05, 0.01),
    ('_base_/moving_events.py', 360, 36, 0.05, 0.01),
    ('recognition/clip-vit-b32_tdb_k400.py', 30, 5, 0.01, 0),
    ('recognition/clip-tiny_tdb_moving-shapes.py', 6, 1, 0.05, 0.01)])
@pytest.mark.parametrize('length', [7, 10])
def test_the_configs_train_as_with_two_schedulers_of_mmengine(config, end, warmup, start, least,
                                                              length):
    settings = Config.fromfile(ROOT / 'configs' / config)
    train_cfg = settings.train_cfg
    assert train_cfg.get('max_epochs', train_cfg.get('max_iters')) == end
    scheduler, = settings.param_scheduler
    assert scheduler.pop('type') == 'mmc2v.WarmupCosineLR'
    ours, theirs = optimizer(2.0), optimizer(2.0)
    convert = dict(by_epoch=True, epoch_length=length)
    stock = [LinearLR.build_iter_from_epoch(theirs, start_factor=start, end=warmup, **convert),
             CosineAnnealingLR.build_iter_from_epoch(
                 theirs, eta_min_ratio=least, begin=warmup, end=end, T_max=end - warmup,
                 **convert)]
    # half of an odd epoch is no whole iteration; MMEngine's T_max may then be a fraction
    tolerance = 1e-9 if warmup * length % 1 == 0 else 0.03
    assert rates(ours, [WarmupCosineLR(ours, end=end * length, **scheduler)],
                 end * length) == pytest.approx(rates(theirs, stock, end * length), abs=tolerance)


def test_there_is_a_warm_up_of_at_least_one_iteration():
    for end in (1, 2, 5):
        wrapper = optimizer()
        found = rates(wrapper, [WarmupCosineLR(wrapper, end=end, by_epoch=False)], end + 2)
        assert found[:2] == pytest.approx([0.001, 1.0 if end > 1 else 0.001])
    wrapper = optimizer()
    assert rates(wrapper, [WarmupCosineLR(wrapper, warmup=3, start_factor=0.5, end=9,
                                          by_epoch=False)], 3) == [0.5, 0.75, 1.0]


@pytest.mark.parametrize(('settings', 'message'), [
    (dict(by_epoch=True), 'give it by_epoch=False'), (dict(), 'give it by_epoch=False'),
    (dict(by_epoch=False, warmup=1.0), 'got 1.0'), (dict(by_epoch=False, warmup=-1), 'got -1')])
def test_what_it_cannot_do_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        WarmupCosineLR(optimizer(), end=9, **settings)


def trained(data, work_dir, train_cfg, monkeypatch=None, **kwargs):
    """Train and return the learning rate of each iteration."""
    config = run_config(data, work_dir, log_level='WARNING', val_cfg=None, val_dataloader=None,
                        val_evaluator=None, experiment_name=os.urandom(4).hex(), **kwargs)
    config.default_hooks.checkpoint.update(
        by_epoch='max_epochs' in train_cfg, max_keep_ckpts=-1, save_best=None)
    config.train_cfg = train_cfg
    if 'param_scheduler' not in kwargs:
        config.param_scheduler = [dict(type='mmc2v.WarmupCosineLR', by_epoch=False, warmup=0.25)]
    runner = Runner.from_cfg(config)
    found = []
    step = runner.model.train_step

    def watched(*args, **kwargs):
        found.append(runner.optim_wrapper.param_groups[0]['lr'])
        return step(*args, **kwargs)
    runner.model.train_step = watched
    runner.train()
    return found


def expected(total):
    wrapper = optimizer(1e-3)
    return rates(wrapper, [WarmupCosineLR(wrapper, warmup=0.25, end=total, by_epoch=False)], total)


def test_it_is_as_long_as_training_is(data, tmp_path):
    """18 captions: six batches of three an epoch."""
    epochs = dict(type='EpochBasedTrainLoop', max_epochs=2)
    assert trained(data, tmp_path / 'epochs', epochs) == expected(12)
    iterations = dict(type='IterBasedTrainLoop', max_iters=8)
    assert trained(data, tmp_path / 'iterations', iterations) == expected(8)
    longer = trained(data, tmp_path / 'epochs', dict(epochs, max_epochs=3), resume=True)
    assert longer == expected(18)[12:]


def test_a_run_of_two_schedulers_goes_on_by_this_one(data, tmp_path):
    """Checkpoints of former configs have two states for one scheduler."""
    loop = dict(type='EpochBasedTrainLoop', max_epochs=1)
    convert = dict(by_epoch=True, convert_to_iter_based=True)
    trained(data, tmp_path, loop, param_scheduler=[
        dict(type='LinearLR', start_factor=1e-3, begin=0, end=0.5, **convert),
        dict(type='CosineAnnealingLR', begin=0.5, end=2, **convert)])
    assert trained(data, tmp_path, dict(loop, max_epochs=2), resume=True) == expected(12)[6:]
