"""Videos that cannot be decoded are reported, and stop all ranks where there are too many."""
from types import SimpleNamespace

import pytest
import torch
from launch.runner import leave_process_group
from mmaction.structures import ActionDataSample
from mmengine.runner import Runner

from mmc2v.engine import UndecodableVideosHook

from ...processes import run_ranks
from ...tiny import run_config, write_dataset


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
