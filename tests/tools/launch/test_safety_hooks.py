"""Hooks that a list in a child config would drop."""
import sys

import pytest
from launch.safety_hooks import SAFETY_HOOKS, complete_hooks
from mmengine.config import Config

from mmc2v.engine import SplitOverlapHook

from ...models.golden import load_tool
from ...tiny import ROOT, run_config, write_dataset


def read(name='clip2video_msrvtt.py', **kwargs):
    config = Config.fromfile(ROOT / 'configs' / name)
    config.merge_from_dict(kwargs)
    return config


def types(config):
    return [hook.type for hook in config.custom_hooks]


def test_a_list_of_the_configs_own_drops_none():
    complete = read()
    assert complete_hooks(complete) == []
    assert complete.custom_hooks == read().custom_hooks
    assert types(complete) == list(SAFETY_HOOKS)
    child = read(custom_hooks=[dict(type='EMAHook'),
                               dict(type='mmc2v.SplitOverlapHook', allow=['test.json'])])
    added = complete_hooks(child)
    assert child.custom_hooks[:2] == [
        dict(type='EMAHook'), dict(type='mmc2v.SplitOverlapHook', allow=['test.json'])]
    assert types(child)[2:] == added == [
        name for name in SAFETY_HOOKS if 'Overlap' not in name]
    without = read(custom_hooks=None)
    complete_hooks(without)
    assert types(without) == list(SAFETY_HOOKS)


def test_a_hook_derived_from_ours_is_in_its_place():
    class Mine(SplitOverlapHook):
        pass
    config = read(custom_hooks=[dict(type=Mine)])
    assert 'mmc2v.SplitOverlapHook' not in complete_hooks(config)


def test_one_is_switched_off_by_name():
    config = read(disabled_hooks=['mmc2v.SplitOverlapHook'])
    assert complete_hooks(config) == []
    assert types(config) == [name for name in SAFETY_HOOKS if 'Overlap' not in name]
    with pytest.raises(ValueError, match=r"'SplitOverlapHook', .*mean 'mmc2v\.SplitOverlapHook'"):
        complete_hooks(read(disabled_hooks=['SplitOverlapHook']))


def test_recognizers_are_left_as_they_are():
    config = read('recognition/clip-vit-b32_tdb_k400.py')
    assert complete_hooks(config) == []
    assert types(config) == []


def test_training_on_the_test_set_is_noticed_by_a_config_with_hooks_of_its_own(
        tmp_path, monkeypatch):
    """And once: the tool runs no hook by hand."""
    write_dataset(tmp_path / 'data', num_videos=5)
    config = run_config(tmp_path / 'data', tmp_path / 'work', epochs=1,
                        experiment_name='safety', disabled_hooks=['mmc2v.LoaderShareHook'])
    config.custom_hooks = [dict(type='EmptyCacheHook')]
    config.dump(tmp_path / 'tiny.py')
    compared = []
    compare = SplitOverlapHook.before_run
    monkeypatch.setattr(SplitOverlapHook, 'before_run',
                        lambda hook, runner: (compared.append(1), compare(hook, runner)))
    monkeypatch.setattr(sys, 'argv', ['train.py', str(tmp_path / 'tiny.py')])
    with pytest.raises(ValueError, match=r"5 of the 5 videos of '.*all\.json' \(val\)"):
        load_tool('train.py').main()
    assert compared == [1]
    log = next((tmp_path / 'work').glob('*/*.log')).read_text()
    assert 'lacks mmc2v.EpochRandomnessHook, mmc2v.ContrastiveBatchHook, ' in log
    assert 'mmc2v.BestAndLastHook, which are added' in log
