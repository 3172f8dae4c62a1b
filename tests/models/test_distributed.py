"""Training on several processes is training on one with the whole batch, frozen layers or not."""
import functools
import gc

import pytest
import torch
import torch.distributed as dist
from launch.runner import leave_process_group
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper

from mmc2v.engine import gradient_cache
from mmc2v.registry import MODELS

from ..processes import run_ranks
from ..tiny import ARCH, batch, model_config

# neck, alignment, options of both towers: the model of the paper, the two baselines, and the former
# with lower layers frozen
KINDS = {'clip2video': ('tdb-attention-differences', True, {}),
         'mean pooling': ('mean', False, {}),
         'temporal transformer': ('transformer-none', False, {}),
         'frozen': ('tdb-attention-differences', True,
                    dict(freeze_layer_num=1, grad_checkpointing=True))}
NUM, STEPS, CHUNK = 8, 3, 3
VOCABULARY = 600
SMALL = dict(ARCH, text_cfg=dict(ARCH['text_cfg'], vocab_size=VOCABULARY))
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-5}


def build(name, dtype):
    neck, alignment, options = KINDS[name]
    config = model_config(neck, alignment, SMALL)
    for tower in ('backbone', 'text_backbone'):
        config[tower].update(options)
    torch.manual_seed(0)
    return MODELS.build(config).to(dtype).train()


def collated(step, rank=0, world_size=1):
    """One rank's part of a batch, as the loader gives it."""
    inputs = batch(num=NUM, seed=step)
    tokens = inputs['tokens']  # the last two of the vocabulary stay start and end
    tokens = torch.where(tokens < 49406, tokens % (VOCABULARY - 2), tokens - 49408 + VOCABULARY)
    frames = torch.randint(0, 256, inputs['frames'].shape, dtype=torch.uint8,
                           generator=torch.Generator().manual_seed(step))
    mask = inputs['frame_mask'].clone()
    mask[1, 3:] = False
    rows = range(rank * NUM // world_size, (rank + 1) * NUM // world_size)
    return dict(inputs=dict(frames=[frames[row] for row in rows],
                            frame_mask=[mask[row] for row in rows],
                            tokens=[tokens[row:row + 1] for row in rows]),
                data_samples=None)


def train(name, dtype, rank=0, world_size=1, cached=False, lr=0.05):
    """Train three steps; return losses, the gradients of each step and the weights."""
    model = build(name, dtype)
    trained = model
    if world_size > 1:
        trained = MMDistributedDataParallel(model, find_unused_parameters=False)
    optim_wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=lr))
    losses, gradients = [], []
    optim_wrapper.optimizer.register_step_pre_hook(lambda *args: gradients.append(
        {name: parameter.grad.clone() for name, parameter in model.named_parameters()
         if parameter.requires_grad}))
    for step in range(STEPS):
        data = collated(step, rank, world_size)
        log_vars = gradient_cache.cached_step(trained, optim_wrapper, data, CHUNK) if cached else \
            trained.train_step(data, optim_wrapper)
        losses.append(log_vars['loss'].detach())
    return losses, gradients, {key: value.clone() for key, value in model.state_dict().items()}


on_one_process = functools.cache(train)


def worker(rank, world_size, folder):
    dist.init_process_group('gloo', init_method=f'file://{folder}/rendezvous', rank=rank,
                            world_size=world_size)
    gradient_cache._BUCKET_MB = 2 ** -5  # so that there are several
    for name in KINDS:
        for dtype in TOLERANCE:
            for cached in (False, True):
                result = train(name, dtype, rank, world_size, cached)
                gc.collect()  # the reducer must not be the last of the group
                torch.save(result, f'{folder}/{name} {dtype} {cached} {rank}.pt')
    leave_process_group()


@pytest.fixture(scope='module', params=[1, 2, 4])
def results(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp('distributed')
    run_ranks(worker, request.param, str(folder))
    return folder, request.param


@pytest.mark.parametrize('name', KINDS)
@pytest.mark.parametrize('dtype', TOLERANCE)
@pytest.mark.parametrize('cached', [False, True], ids=['plain', 'cached'])
def test_losses_gradients_and_weights_are_those_of_one_process(name, dtype, cached, results):
    folder, world_size = results
    losses, gradients, weights = on_one_process(name, dtype)
    tolerance = TOLERANCE[dtype]
    assert len(gradients) == STEPS
    assert gradients[0]['head.logit_scale'].abs() > 1e-4
    for rank in range(world_size):
        found = torch.load(folder / f'{name} {dtype} {cached} {rank}.pt')
        for own, whole in zip(found[0], losses):
            torch.testing.assert_close(own, whole, atol=tolerance, rtol=tolerance)
        for own, whole in zip(found[1], gradients, strict=True):
            assert own.keys() == whole.keys()
            for key, gradient in whole.items():
                torch.testing.assert_close(own[key], gradient, atol=tolerance, rtol=tolerance,
                                           msg=lambda text, key=key: f'{key}: {text}')
        for key, value in weights.items():
            torch.testing.assert_close(found[2][key], value, atol=tolerance, rtol=tolerance)
    start = build(name, dtype).state_dict()
    moved = {key for key in weights if (weights[key] - start[key]).abs().max() > 100 * tolerance}
    assert len(moved) > len(gradients[0]) / 2
    assert moved <= set(gradients[0])
    assert (name == 'frozen') == ('backbone.visual.conv1.weight' not in gradients[0])
