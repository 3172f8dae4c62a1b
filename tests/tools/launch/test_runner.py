"""Starting and ending processes."""
import weakref
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist
from launch.runner import end_processes, start_processes
from mmengine.config import Config
from mmengine.model import MMDistributedDataParallel

from ...tiny import batch, build_model


def test_the_wrapper_is_gone_before_the_group_ends(tmp_path, monkeypatch):
    """Otherwise its reducer may wait for ever for the group's threads."""
    dist.init_process_group('gloo', init_method=f'file://{tmp_path}/rendezvous', rank=0,
                            world_size=1)
    model = build_model('mean').train()
    wrapper = MMDistributedDataParallel(model, device_ids=None)
    losses = wrapper(batch(), mode='loss')
    sum(value for key, value in losses.items() if 'loss' in key).backward()
    alive = weakref.ref(wrapper)
    runner = SimpleNamespace(model=wrapper)
    destroy = dist.destroy_process_group
    seen = []
    monkeypatch.setattr(torch.distributed, 'destroy_process_group',
                        lambda: (seen.append(alive()), destroy()))
    del wrapper, losses
    end_processes(runner)
    assert seen == [None]
    assert runner.model is model
    assert not dist.is_initialized()


def test_one_process_starts_and_ends_nothing():
    config = Config(dict(launcher='none'))
    start_processes(config)
    assert 'model_wrapper_cfg' not in config
    end_processes(SimpleNamespace(model=None))


def test_launchers_that_need_gpus_are_refused_without(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(ValueError, match="launcher='slurm' needs GPUs.*dist_train.sh"):
        start_processes(Config(dict(launcher='slurm')))
