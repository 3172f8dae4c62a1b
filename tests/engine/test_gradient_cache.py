"""Gradient caching gives the gradient of the whole batch at the memory of a chunk."""
from types import SimpleNamespace

import pytest
import torch
from mmengine.model import MMSeparateDistributedDataParallel
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch import nn

from mmc2v.engine import AutocastOptimWrapper
from mmc2v.engine.gradient_cache import GradientCacheTrainLoop, _check, cached_step

from ..models.test_distributed import collated
from ..processes import run_script_on_ranks
from ..tiny import ROOT, build_model, combinations, run_config, write_dataset
from ..tools.test_train_and_test import weights


class Recording(OptimWrapper):
    """Keeps the gradient instead of stepping."""

    def step(self, **kwargs):
        self.gradients = {id(parameter): parameter.grad.clone() for group in
                          self.optimizer.param_groups for parameter in group['params']
                          if parameter.grad is not None}


class RecordingAutocast(Recording, AutocastOptimWrapper):
    pass


def gradient(model, data, chunk_size=None, wrapper=Recording):
    optim_wrapper = wrapper(torch.optim.SGD(model.parameters(), lr=1))
    if chunk_size is None:
        model.train_step(data, optim_wrapper)
    else:
        cached_step(model, optim_wrapper, data, chunk_size)
    return {name: optim_wrapper.gradients[id(parameter)]
            for name, parameter in model.named_parameters()
            if id(parameter) in optim_wrapper.gradients}


def data(num=None, seed=0):
    """A batch of text_cfg's full vocabulary."""
    batch = collated(seed)
    for tokens in batch['inputs']['tokens']:
        tokens[tokens >= 598] += 49408 - 600
    inputs = {key: value * (1 if num is None else num // len(value))
              for key, value in batch['inputs'].items()}
    return dict(inputs=inputs, data_samples=None)


@pytest.mark.parametrize(('neck', 'alignment'), combinations()[::4])
@pytest.mark.parametrize('chunk_size', [1, 3, 8, 100])
def test_gradient_is_that_of_the_whole_batch(neck, alignment, chunk_size):
    model = build_model(neck, alignment).train()
    whole, cached = gradient(model, data()), gradient(model, data(), chunk_size)
    assert whole.keys() == cached.keys()
    assert whole['head.logit_scale'].abs() > 1e-4
    for name, expected in whole.items():
        torch.testing.assert_close(cached[name], expected, atol=1e-5, rtol=1e-5,
                                   msg=lambda text, name=name: f'{name}: {text}')


@pytest.mark.parametrize('chunk_size', [1, 3])
def test_gradient_in_bfloat16(chunk_size):
    """The whole gradient, as one vector, against that of the whole batch in bfloat16."""
    model = build_model().train()
    whole, cached, full = (torch.cat([part.flatten().double() for part in gradient(
        model, data(), *args).values()]) for args in (
            (None, RecordingAutocast), (chunk_size, RecordingAutocast), ()))
    assert torch.cosine_similarity(whole, cached, dim=0) >= 0.9999
    assert torch.cosine_similarity(whole, full, dim=0) < 0.9999  # autocast was on


def test_chunks_of_captions_are_as_long_as_the_longest_of_the_batch():
    """Another length would round otherwise in half precision."""
    model, lengths = build_model().train(), []
    model.text_backbone.register_forward_pre_hook(
        lambda module, inputs: lengths.append(inputs[0].shape[1]))
    batch = data()
    batch['inputs']['tokens'] = [tokens[:, :8] for tokens in batch['inputs']['tokens']]
    own = {int((tokens != 0).sum()) for tokens in batch['inputs']['tokens']}
    gradient(model, batch, 1)
    assert len(own) > 1
    assert lengths == [max(own)] * 16


def two_chunks(model):
    inputs = model.data_preprocessor(data(), True)['inputs']
    return inputs['frames'], inputs['frame_mask']


def test_dropout_is_the_same_in_both_passes():
    model = build_model().train()
    model.backbone.visual = nn.Sequential(model.backbone.visual, nn.Dropout(0.5))
    seen, forward = [], model.embed_video
    model.embed_video = lambda *args: seen.append(forward(*args)) or seen[-1]
    gradient(model, data(), 2)
    first, second = torch.cat(seen[:4]), torch.cat(seen[4:])
    assert torch.equal(first, second.detach())
    assert not torch.equal(forward(*two_chunks(model)), forward(*two_chunks(model)))


def test_loss_scaling_reaches_every_gradient():
    """As AmpOptimWrapper does in float16."""
    class Scaled(Recording):
        def backward(self, loss, **kwargs):
            super().backward(loss * 4, **kwargs)
    model = build_model().train()
    plain, scaled = gradient(model, data(), 3), gradient(model, data(), 3, Scaled)
    for name, value in plain.items():
        torch.testing.assert_close(scaled[name], 4 * value, atol=1e-6, rtol=1e-5)


def saved_bytes(model, batch, chunk_size):
    """Most bytes of activations that are held for backward at any moment."""
    live, most = 0, 0

    class Held:
        def __init__(self, tensor):
            nonlocal live, most
            self.tensor, self.size = tensor, tensor.numel() * tensor.element_size()
            live += self.size
            most = max(most, live)

        def __del__(self):
            nonlocal live
            live -= self.size
    with torch.autograd.graph.saved_tensors_hooks(Held, lambda held: held.tensor):
        gradient(model, batch, chunk_size)
    return most


def test_memory_grows_with_the_chunk_and_not_with_the_batch():
    model = build_model().train()
    whole = [saved_bytes(model, data(num), None) for num in (16, 64)]
    cached = [saved_bytes(model, data(num), 4) for num in (16, 64)]
    assert whole[1] > 3.5 * whole[0]
    assert cached[1] < 1.1 * cached[0]
    assert cached[0] < whole[0] / 2.5


def test_a_loss_that_is_no_number_stops_before_the_weights():
    model, batch = build_model().train(), data()
    model.head.logit_scale.data.fill_(float('nan'))
    with pytest.raises(FloatingPointError, match='the loss is not finite'):
        gradient(model, batch, 3)
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp('cache')
    write_dataset(path / 'data')
    return path


def config_of(folder, name, **kwargs):
    config = run_config(folder / 'data', folder / name, val_cfg=None, val_dataloader=None,
                        val_evaluator=None, experiment_name=name)
    config.default_hooks.checkpoint.pop('save_best')
    config.optim_wrapper.optimizer = dict(type='SGD', lr=0.1)
    config.train_dataloader.batch_size = 6
    config.merge_from_dict(kwargs)
    return config


def trained(*args, **kwargs):
    runner = Runner.from_cfg(config_of(*args, **kwargs))
    runner.train()
    return runner


@pytest.fixture(scope='module')
def plain(folder):
    return trained(folder, 'plain')


CACHED = dict(type='mmc2v.GradientCacheTrainLoop', chunk_size=2)


def assert_same_weights(found, runner):
    for name, value in runner.model.state_dict().items():
        torch.testing.assert_close(found[name], value, atol=1e-5, rtol=1e-5)


def test_loops_are_chosen_in_the_config_and_train_as_the_stock_ones(folder, plain):
    cached = trained(folder, 'cached', train_cfg=CACHED)
    assert cached.iter == plain.iter
    assert cached.epoch == 2
    assert type(cached.train_loop) is GradientCacheTrainLoop
    assert_same_weights(cached.model.state_dict(), plain)
    resumed = trained(folder, 'resumed', train_cfg=CACHED, resume=True,
                      load_from=str(folder / 'cached' / 'epoch_1.pth'))
    assert resumed.iter == plain.iter
    for name, value in cached.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], value), name
    scalars = [set(runner.message_hub.log_scalars) for runner in (plain, cached)]
    assert scalars[0] == scalars[1]
    assert 'train/loss_aligned' in scalars[1]
    by_iterations = trained(folder, 'iterations', param_scheduler=None, train_cfg=dict(
        _delete_=True, type='mmc2v.GradientCacheIterTrainLoop', max_iters=3, chunk_size=2))
    assert by_iterations.iter == 3
    with pytest.raises(ValueError, match='chunk_size must be at least 1, got 0'):
        trained(folder, 'empty', train_cfg=dict(CACHED, chunk_size=0))


def test_two_processes_train_as_the_stock_loop_on_one(folder, plain):
    config = config_of(folder, 'two', train_cfg=CACHED)
    config.train_dataloader.batch_size = 3
    config.dump(folder / 'two.py')
    ranks = run_script_on_ranks('tools/train.py', folder / 'two.py', cwds=[ROOT] * 2)
    assert [rank.returncode for rank in ranks] == [0, 0], ranks
    assert_same_weights(weights(folder / 'two' / 'epoch_2.pth'), plain)


def runner_of(model=None, **kwargs):
    model = model or build_model()
    return SimpleNamespace(model=model, logger=SimpleNamespace(warning=lambda text: None),
                           optim_wrapper=OptimWrapper(torch.optim.SGD(model.parameters(), lr=1),
                                                      **kwargs))


def test_what_does_not_fit_is_refused():
    _check(runner_of(), 1)
    with pytest.raises(ValueError, match='chunk_size must be at least 1, got 0'):
        _check(runner_of(), 0)
    with pytest.raises(ValueError, match='accumulative_counts=4 would add up'):
        _check(runner_of(accumulative_counts=4), 8)
    with pytest.raises(ValueError, match=r"a model with \['embed_video', 'embed_text', 'head'\]"):
        _check(runner_of(nn.Linear(2, 2)), 8)
    several = runner_of()
    several.optim_wrapper = {}
    with pytest.raises(ValueError, match='works with one OptimWrapper, got dict'):
        _check(several, 8)
    wrapped = runner_of()
    wrapped.model = MMSeparateDistributedDataParallel.__new__(MMSeparateDistributedDataParallel)
    with pytest.raises(ValueError, match='not with MMSeparateDistributedDataParallel'):
        _check(wrapped, 8)
    warned, model = [], build_model()
    model.backbone.extra = nn.BatchNorm2d(3)
    normed = runner_of(model)
    normed.logger.warning = warned.append
    _check(normed, 8)
    assert 'batch normalisation sees one chunk' in warned[0]
