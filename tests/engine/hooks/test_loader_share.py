"""The loader's share of step time is logged, and said where it is large."""
from types import SimpleNamespace

import pytest
from mmengine.logging import MessageHub
from mmengine.runner import Runner

from mmc2v.engine import LoaderShareHook

from ...tiny import run_config, write_dataset


def run(shares, **kwargs):
    hub, lines = MessageHub.get_instance(f'share {shares[0]} {len(shares)}'), []
    runner = SimpleNamespace(message_hub=hub, logger=SimpleNamespace(warning=lines.append))
    hook = LoaderShareHook(window=5, **kwargs)
    for index, share in enumerate(shares):
        hub.update_scalar('train/data_time', share)
        hub.update_scalar('train/time', 1.0)
        hook.after_train_iter(runner, index)
    return hub.get_scalar('train/data_share'), lines


def test_share_of_the_last_steps():
    share, lines = run([1.0] * 5 + [0.1] * 15)
    assert share.current() == pytest.approx(0.1)
    assert lines == []


def test_a_large_share_is_said_once_with_the_remedy():
    share, lines = run([0.6] * 30)
    assert share.current() == pytest.approx(0.6)
    assert len(lines) == 1
    assert '60% of the time' in lines[0]
    assert 'cache_videos.py' in lines[0]
    assert run([0.6] * 9)[1] == []  # workers are still starting
    with pytest.raises(ValueError, match='warn_above'):
        LoaderShareHook(warn_above=2)


def test_the_log_of_a_run_has_it(tmp_path):
    write_dataset(tmp_path / 'data')
    config = run_config(tmp_path / 'data', tmp_path / 'work', epochs=1, val_cfg=None,
                        val_dataloader=None, val_evaluator=None, experiment_name='share')
    config.default_hooks.checkpoint.pop('save_best')
    Runner.from_cfg(config).train()
    log = next((tmp_path / 'work').glob('*/*.log')).read_text()
    line = next(line for line in log.splitlines() if 'Epoch(train)' in line)
    assert 0 <= float(line.split('data_share: ')[1].split()[0]) <= 1
