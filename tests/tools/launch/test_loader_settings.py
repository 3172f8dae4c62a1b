"""Loaders fit the machine."""
import pytest
from launch import loader_settings
from launch.loader_settings import available_cores, fit_loaders
from mmengine.config import Config


def config(**kwargs):
    loader = {**dict(batch_size=4, num_workers=8, persistent_workers=True), **kwargs}
    return Config(dict(train_dataloader=loader, val_dataloader=dict(loader),
                       test_dataloader=None))


@pytest.fixture
def cores(monkeypatch):
    def have(number, ranks=1):
        monkeypatch.setattr(loader_settings.os, 'sched_getaffinity',
                            lambda process: set(range(number)), raising=False)
        monkeypatch.setenv('LOCAL_WORLD_SIZE', str(ranks))
    return have


def test_workers_are_no_more_than_the_cores_of_a_rank(cores):
    cores(6, ranks=2)
    assert available_cores() == 3
    found = config()
    notes = fit_loaders(found)
    assert found.train_dataloader.num_workers == found.val_dataloader.num_workers == 3
    assert found.train_dataloader.persistent_workers
    assert len(notes) == 1
    assert 'train_dataloader 3 instead of 8, val_dataloader 3 instead of 8' in notes[0]


def test_no_core_for_workers_means_none_that_persist(cores):
    cores(2, ranks=4)
    found = config()
    fit_loaders(found)
    assert found.train_dataloader.num_workers == 0
    assert not found.train_dataloader.persistent_workers
    found = config(num_workers=0)
    assert fit_loaders(found) == []
    assert not found.val_dataloader.persistent_workers


def test_numbers_are_never_raised_and_the_command_line_decides(cores):
    cores(64)
    found = config()
    assert fit_loaders(found) == []
    assert found.train_dataloader.num_workers == 8
    cores(2)
    notes = fit_loaders(found, ['train_dataloader.num_workers'])
    assert found.train_dataloader.num_workers == 8
    assert found.val_dataloader.num_workers == 2
    assert 'train_dataloader 2' not in notes[0]


def test_memory_is_pinned_where_there_is_a_gpu_and_the_config_is_silent(monkeypatch):
    for has_gpu in (False, True):
        monkeypatch.setattr('torch.cuda.is_available', lambda has_gpu=has_gpu: has_gpu)
        silent, explicit = config(), config(pin_memory=False)
        fit_loaders(silent)
        fit_loaders(explicit)
        assert silent.train_dataloader.get('pin_memory') == (True if has_gpu else None)
        assert explicit.train_dataloader.pin_memory is False


@pytest.mark.parametrize(('kwargs', 'problem'), [
    (dict(batch_size=0), r'train_dataloader\.batch_size must be a whole number from 1 up, got 0'),
    (dict(batch_size='a'), "got 'a'"),
    (dict(num_workers=-1), r'train_dataloader\.num_workers .* from 0 up, got -1'),
])
def test_impossible_numbers_are_named(kwargs, problem):
    with pytest.raises(ValueError, match=problem):
        fit_loaders(config(**kwargs))
