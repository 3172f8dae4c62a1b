"""Loops of iterations: the same samples whatever the workers, and after resuming."""
import hashlib
import itertools
import os
from types import SimpleNamespace

import pytest
import torch
from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmengine.runner import Runner
from torch.utils.data import BatchSampler, DataLoader

from mmc2v.datasets import VideoTextDataset
from mmc2v.engine.iteration_batches import iteration_batches, loader_of_passes

from ..tiny import run_config, write_dataset

ITERATIONS = 8


def loader(sampler, batch_size=3, **kwargs):
    return DataLoader(sampler.dataset, batch_sampler=BatchSampler(sampler, batch_size, True),
                      collate_fn=list, **kwargs)


def take(sampler, trained, count):
    passes, told = loader_of_passes(loader(sampler)), []

    def begin_pass(number):
        told.append(number)
        sampler.set_epoch(number)
    batches = iteration_batches(passes, trained, begin_pass)
    assert [next(batches) for _ in range(trained)] == [None] * trained
    return [next(batches) for _ in range(count)], told


def test_an_endless_sampler_is_read_on_as_mmengine_reads_it():
    items = list(range(10))
    expected = list(itertools.islice(
        BatchSampler(InfiniteSampler(items, seed=5), 3, True), 11))
    sampler = InfiniteSampler(items, seed=5)
    next(iter(sampler))  # workers have begun to read it
    assert take(sampler, 0, 11) == (expected, [0, 1, 2, 3])
    assert take(sampler, 7, 4) == (expected[7:], [2, 3])


def test_the_passes_of_other_samplers_are_epochs():
    sampler, expected = DefaultSampler(list(range(10)), seed=5), []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        expected += list(BatchSampler(sampler, 3, True))
    assert take(sampler, 0, 9) == (expected, [0, 1, 2])
    assert take(sampler, 4, 5) == (expected[4:], [1, 2])


@pytest.mark.parametrize(('items', 'ranks', 'length'), [(10, 1, 3), (100, 4, 8), (2, 1, 1)])
def test_a_pass_shows_the_data_once_to_all_ranks_together(items, ranks, length, monkeypatch):
    monkeypatch.setattr('mmengine.dataset.sampler.get_dist_info', lambda: (0, ranks))
    assert len(loader_of_passes(loader(InfiniteSampler(range(items), seed=0)))) == length


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data') / 'data'
    write_dataset(folder, num_videos=5)  # 10 captions: three batches of three a pass
    return folder


def trained(data, work_dir, sampler, workers, stop_after=None, **kwargs):
    """Train; return what each iteration saw, and the weights."""
    config = run_config(data, work_dir, workers=workers, log_level='ERROR', val_cfg=None,
                        val_dataloader=None, val_evaluator=None, param_scheduler=[],
                        randomness=dict(seed=7), experiment_name=os.urandom(4).hex(), **kwargs)
    config.train_dataloader.sampler = dict(type=sampler, shuffle=True)
    config.train_dataloader.persistent_workers = workers == 1
    config.train_cfg = dict(type='IterBasedTrainLoop', max_iters=ITERATIONS)
    config.default_hooks.checkpoint.update(by_epoch=False, save_best=None,
                                           interval=stop_after or ITERATIONS)
    runner = Runner.from_cfg(config)
    seen = []

    def note(runner, batch_idx, data_batch, outputs):
        digest = hashlib.sha256()
        for frames in data_batch['inputs']['frames']:
            digest.update(frames.numpy().tobytes())
        seen.append((digest.hexdigest(), [sample.captions for sample in
                                          data_batch['data_samples']]))
        runner.train_loop.stop_training = runner.iter + 1 == stop_after
    runner._hooks[0].after_train_iter = note
    runner.train()
    loop = runner.train_loop
    loop.dataloader = loop.dataloader_iterator = None  # as garbage, workers would end in seconds
    return SimpleNamespace(seen=seen, weights=runner.model.state_dict())


@pytest.mark.parametrize('sampler', ['DefaultSampler', 'InfiniteSampler'])
def test_neither_workers_nor_resuming_change_what_is_trained_on(sampler, data, tmp_path):
    plain = trained(data, tmp_path / 'plain', sampler, 0)
    assert len({digest for digest, _ in plain.seen}) == ITERATIONS
    others = [trained(data, tmp_path / f'workers{workers}', sampler, workers)
              for workers in (1, 2)]
    for workers in (0, 2):  # within the second pass
        folder = tmp_path / f'killed{workers}'
        first = trained(data, folder, sampler, workers, stop_after=5)
        rest = trained(data, folder, sampler, 2 - workers, resume=True)
        others.append(SimpleNamespace(seen=first.seen + rest.seen, weights=rest.weights))
    for other in others:
        assert other.seen == plain.seen
        for name, value in plain.weights.items():
            assert torch.equal(other.weights[name], value), name


def test_what_is_trained_on_already_is_not_read_again(data, tmp_path, monkeypatch):
    trained(data, tmp_path, 'InfiniteSampler', 0, stop_after=6)
    read = []
    get = VideoTextDataset.__getitem__
    monkeypatch.setattr(VideoTextDataset, '__getitem__',
                        lambda dataset, index: (read.append(index), get(dataset, index))[1])
    trained(data, tmp_path, 'InfiniteSampler', 0, resume=True)
    assert len(read) == 2 * 3
