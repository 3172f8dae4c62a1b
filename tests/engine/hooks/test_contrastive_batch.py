"""The batch of all ranks is set beside the recipe's."""
from types import SimpleNamespace

import pytest

from mmc2v.engine import ContrastiveBatchHook

from .test_undecodable_videos import Log


def batch_runner(items, batch_size, base=None):
    class Loader(SimpleNamespace):
        def __len__(self):
            return items // batch_size
    return SimpleNamespace(
        train_dataloader=Loader(batch_size=batch_size, dataset=range(items)), logger=Log(),
        cfg=dict(auto_scale_lr=dict(base_batch_size=base)) if base else {})


def test_batch_that_differs_from_the_recipe_is_said_in_one_line():
    runner = batch_runner(1000, 16, base=128)
    ContrastiveBatchHook().before_train(runner)
    assert len(runner.logger.lines) == 1
    line = runner.logger.lines[0]
    assert '16 x 1 ranks = 16, the recipe expects 128' in line
    assert 'train_dataloader.batch_size=128' in line
    without = batch_runner(1000, 16)
    without.cfg = dict(auto_scale_lr=None)
    for same in (batch_runner(1000, 128, base=128), batch_runner(1000, 16), without):
        ContrastiveBatchHook().before_train(same)
        assert same.logger.lines == []


def test_advice_is_possible_on_this_machine(monkeypatch):
    monkeypatch.setattr('torch.cuda.device_count', lambda: 8)
    assert 'dist_train.sh CONFIG 8' in ContrastiveBatchHook._advice(16, 1, 128)
    monkeypatch.setattr('torch.cuda.device_count', lambda: 4)
    assert 'dist_train.sh' not in ContrastiveBatchHook._advice(16, 1, 128)
    assert ContrastiveBatchHook._advice(50, 3, 128) == 'use a number of ranks that divides 128'


def test_empty_epoch_is_an_error():
    with pytest.raises(ValueError, match='10 items on 1 ranks do not fill one batch of 16'):
        ContrastiveBatchHook().before_train(batch_runner(10, 16))
