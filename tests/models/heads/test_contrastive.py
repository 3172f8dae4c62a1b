"""The loss: one process by hand, and two processes equal to one with the whole batch."""

import numpy as np
import pytest
import torch
import torch.distributed as dist
from launch.runner import leave_process_group
from torch.nn.parallel import DistributedDataParallel

from mmc2v.models import gather_pairs, symmetric_cross_entropy

from ...processes import run_ranks
from ...tiny import batch, build_model, combinations


def test_symmetric_cross_entropy_by_hand():
    logits = torch.tensor([[2.0, 0.0], [1.0, 3.0]])
    rows = -np.log([np.exp(2) / (np.exp(2) + 1), np.exp(3) / (np.e + np.exp(3))]).mean()
    columns = -np.log([np.exp(2) / (np.exp(2) + np.e), np.exp(3) / (1 + np.exp(3))]).mean()
    assert symmetric_cross_entropy(logits).item() == pytest.approx((rows + columns) / 2, rel=1e-6)


def test_one_process_gathers_nothing():
    text, video = torch.randn(2, 3, 1, 4)
    assert gather_pairs(text, video)[0] is text


def start(rank, world_size, folder):
    dist.init_process_group('gloo', init_method=f'file://{folder}/rendezvous', rank=rank,
                            world_size=world_size)


def part(inputs, rank, world_size):
    return {key: value.chunk(world_size)[rank] for key, value in inputs.items()}


def total(losses):
    return sum(value for key, value in losses.items() if 'loss' in key)


def head_and_features(dtype=torch.float64):
    torch.manual_seed(0)
    head = build_model('mean').head.to(dtype)
    return head, *torch.nn.functional.normalize(torch.randn(2, 6, 2, 64, dtype=dtype), dim=-1)


def features_worker(rank, world_size, folder):
    start(rank, world_size, folder)
    head, text, video = head_and_features()
    own = [tensor.chunk(world_size)[rank].clone().requires_grad_() for tensor in (text, video)]
    loss = total(head.loss(*own))
    loss.backward()
    torch.save((loss.detach(), own[0].grad, own[1].grad, head.logit_scale.grad),
               f'{folder}/{rank}.pt')
    leave_process_group()


def test_gradients_of_features_and_scale_equal_one_process(tmp_path):
    """Data parallelism averages over ranks: the mean of what ranks get is the whole's gradient."""
    world_size = 3
    run_ranks(features_worker, world_size, str(tmp_path))
    ranks = [torch.load(tmp_path / f'{rank}.pt') for rank in range(world_size)]
    head, text, video = head_and_features()
    text.requires_grad_()
    video.requires_grad_()
    loss = total(head.loss(text, video))
    loss.backward()
    for own in ranks:
        torch.testing.assert_close(own[0], loss.detach(), atol=1e-12, rtol=0)
    for place, whole in ((1, text.grad), (2, video.grad)):
        joined = torch.cat([own[place] for own in ranks]) / world_size
        torch.testing.assert_close(joined, whole, atol=1e-12, rtol=1e-9)
    scale = torch.stack([own[3] for own in ranks]).mean()
    torch.testing.assert_close(scale, head.logit_scale.grad, atol=1e-12, rtol=1e-9)
    assert scale.abs() > 0


def models_worker(rank, world_size, folder):
    """Train every neck and head for two steps without find_unused_parameters."""
    start(rank, world_size, folder)
    result = {}
    for neck, alignment in combinations():
        model = DistributedDataParallel(build_model(neck, alignment).train(),
                                        find_unused_parameters=False)
        for step in range(2):  # parameters without gradient show in the second
            model.zero_grad()
            inputs = batch(num=6, seed=step)
            inputs['frame_mask'][0, 3:] = False
            loss = total(model(part(inputs, rank, world_size), mode='loss'))
            loss.backward()
        result[f'{neck} {alignment}'] = {
            name.removeprefix('module.'): parameter.grad
            for name, parameter in model.named_parameters()}
    if rank == 0:
        torch.save(result, f'{folder}/all.pt')
    del model, loss  # the reducer must not be the last to hold the group
    leave_process_group()


def test_every_combination_trains_on_two_processes_as_on_one(tmp_path):
    run_ranks(models_worker, 2, str(tmp_path))
    distributed = torch.load(tmp_path / 'all.pt')
    assert len(distributed) == len(combinations())
    for neck, alignment in combinations():
        model = build_model(neck, alignment).train()
        inputs = batch(num=6, seed=1)
        inputs['frame_mask'][0, 3:] = False
        total(model(inputs, mode='loss')).backward()
        for name, parameter in model.named_parameters():
            found = distributed[f'{neck} {alignment}'][name]
            scale = parameter.grad.abs().max().clamp(min=1e-3)
            torch.testing.assert_close(found / scale, parameter.grad / scale, atol=2e-5, rtol=0,
                                       msg=f'{neck} {alignment} {name}')


def unequal_worker(rank, world_size, folder):
    start(rank, world_size, folder)
    features = torch.randn(3 + rank, 1, 4)
    with pytest.raises(ValueError, match=r'different sizes \[3, 4\]; set drop_last=True'):
        gather_pairs(features, features)
    (folder / str(rank)).touch()
    leave_process_group()


def test_unequal_batches_are_an_error_not_a_hang(tmp_path):
    run_ranks(unequal_worker, 2, tmp_path)
    assert {'0', '1'} <= {path.name for path in tmp_path.iterdir()}
