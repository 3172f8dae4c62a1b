"""Hooks: undecodable videos, the contrastive batch, epoch randomness."""
from types import SimpleNamespace

import pytest
import torch
from mmaction.structures import ActionDataSample
from mmengine.runner import EpochBasedTrainLoop, Runner

from mmc2v.engine import ContrastiveBatchHook, EpochRandomnessHook, UndecodableVideosHook
from mmc2v.engine.launch import leave_process_group

from ..processes import run_ranks
from ..tiny import run_config, write_dataset


class Log:
    """A logger that remembers."""

    def __init__(self):
        self.lines = []

    def warning(self, line):
        self.lines.append(line)

    info = warning


def feed(hook, runner, paths, bad=()):
    """Show the hook one batch; bad files are carried by the last sample."""
    samples = [ActionDataSample() for _ in paths]
    for sample, path in zip(samples, paths):
        is_last = sample is samples[-1]
        sample.set_metainfo(dict(filename=path, replaces=[
            (path, 'broken') for path in (bad if is_last else ())]))
    hook.after_train_iter(runner, 0, dict(data_samples=samples))


def test_each_bad_video_is_reported_once():
    hook, runner = UndecodableVideosHook(interval=1), SimpleNamespace(logger=Log())
    for _ in range(3):
        feed(hook, runner, ['a', 'b'], bad=['c'])
    assert runner.logger.lines == ['undecodable video, replaced by another: c: broken']


def test_damage_is_reported_once_and_is_not_undecodable():
    hook, runner = UndecodableVideosHook(interval=1, min_seen=1, max_share=0), SimpleNamespace(
        logger=Log())
    sample = ActionDataSample(metainfo=dict(filename='a', damage='1 of 12 frames are filled'))
    for _ in range(2):
        hook.after_train_iter(runner, 0, dict(data_samples=[sample]))
    assert runner.logger.lines == ['damaged video: a: 1 of 12 frames are filled']


def test_batches_without_data_samples_pass():
    """As of other data sets, and of MMAction2's vis_scheduler.py, whose batches are tensors."""
    hook, runner = UndecodableVideosHook(interval=1), SimpleNamespace(logger=Log())
    for data_batch in (torch.arange(4), dict(inputs=[])):
        hook.after_train_iter(runner, 0, data_batch)
    assert runner.logger.lines == []


def test_share_counts_distinct_videos_after_enough_were_seen():
    hook = UndecodableVideosHook(max_share=0.05, min_seen=100, interval=1)
    runner = SimpleNamespace(logger=Log())
    good = [f'{i}.mp4' for i in range(93)]
    feed(hook, runner, good[:80], bad=[f'bad{i}' for i in range(6)])  # 6 of 86: too few seen
    feed(hook, runner, good[:80], bad=['bad0'])  # again the same: not counted twice
    with pytest.raises(ValueError, match=r'(?s)6 of 100 videos.*6\.0%.*bad3: broken') as caught:
        feed(hook, runner, [*good, 'one more'])
    assert str(caught.value).count('broken') == 6
    quiet = UndecodableVideosHook(max_share=0.06, min_seen=100, interval=1)
    feed(quiet, runner, [*good, 'one more'], bad=[f'bad{i}' for i in range(6)])


def test_shares_outside_0_and_1_are_refused():
    with pytest.raises(ValueError, match='max_share'):
        UndecodableVideosHook(max_share=5)


def test_runner_stops_with_the_list(tmp_path):
    write_dataset(tmp_path / 'data', num_videos=9)
    for index in range(4):
        (tmp_path / 'data' / 'videos' / f'{index}.mp4').write_text('broken')
    config = run_config(tmp_path / 'data', tmp_path / 'work', epochs=1, val_cfg=None,
                        val_dataloader=None, val_evaluator=None, experiment_name='stops')
    config.default_hooks.checkpoint = dict(type='CheckpointHook')
    config.custom_hooks = [dict(type='mmc2v.EpochRandomnessHook'),
                           dict(type='mmc2v.UndecodableVideosHook', min_seen=5)]
    with pytest.raises(ValueError, match=r'(?s)of \d videos seen.*0\.mp4: '):
        Runner.from_cfg(config).train()


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


def test_epoch_and_seed_reach_wrapped_data_sets_and_samplers():
    told = []
    inner = SimpleNamespace(set_epoch=lambda epoch, seed: told.append((epoch, seed)))
    sampler = SimpleNamespace(seed=0)

    class Loader(SimpleNamespace):
        def __len__(self):
            return 4
    loader = Loader(dataset=SimpleNamespace(datasets=[inner, SimpleNamespace(dataset=inner)]),
                    sampler=None, batch_sampler=SimpleNamespace(sampler=sampler))
    runner = SimpleNamespace(epoch=3, iter=12, seed=11, train_dataloader=loader,
                             train_loop=EpochBasedTrainLoop.__new__(EpochBasedTrainLoop))
    EpochRandomnessHook().before_train_epoch(runner)
    assert told == [(3, 11), (3, 11)]
    assert sampler.seed == 11


def seeds_worker(rank, world_size, folder):
    import torch.distributed as dist
    from mmengine.dataset import DefaultSampler
    dist.init_process_group('gloo', init_method=f'file://{folder}/rendezvous', rank=rank,
                            world_size=world_size)
    sampler = DefaultSampler(list(range(20)), seed=1)
    loader = SimpleNamespace(dataset=None, sampler=sampler, batch_sampler=None)
    runner = SimpleNamespace(epoch=0, iter=0, seed=5 + rank, train_dataloader=loader,
                             train_loop=EpochBasedTrainLoop.__new__(EpochBasedTrainLoop))
    EpochRandomnessHook().before_train_epoch(runner)
    torch.save(list(sampler), folder / f'{rank}.pt')
    leave_process_group()


def test_ranks_share_the_data_also_with_different_seeds(tmp_path):
    run_ranks(seeds_worker, 2, tmp_path)
    assert sorted(torch.load(tmp_path / '0.pt') + torch.load(tmp_path / '1.pt')) == list(range(20))


def stopping_worker(rank, world_size, folder):
    import torch.distributed as dist
    dist.init_process_group('gloo', init_method=f'file://{folder}/rendezvous', rank=rank,
                            world_size=world_size)
    hook = UndecodableVideosHook(max_share=0.1, min_seen=10, interval=1)
    runner = SimpleNamespace(logger=Log())
    shared, own = [f'both{i}' for i in range(4)], [f'rank{rank}-{i}' for i in range(4)]
    feed(hook, runner, shared + own)  # 12 distinct on both
    with pytest.raises(ValueError, match=r'(?s)2 of 14 videos.*bad0: broken.*bad1: broken'):
        feed(hook, runner, shared, bad=[f'bad{rank}'])  # each rank has seen one of them
    (folder / str(rank)).touch()
    leave_process_group()


def test_all_ranks_stop_together_with_the_whole_list(tmp_path):
    run_ranks(stopping_worker, 2, tmp_path)
    assert {'0', '1'} <= {path.name for path in tmp_path.iterdir()}
