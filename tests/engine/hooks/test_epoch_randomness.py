"""Data sets and samplers learn the epoch and the run's seed."""
from types import SimpleNamespace

import torch
from launch.runner import leave_process_group
from mmengine.runner import EpochBasedTrainLoop

from mmc2v.engine import EpochRandomnessHook

from ...processes import run_ranks


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
