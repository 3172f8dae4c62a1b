"""float16 with loss scaling: an overflow skips a step, and no more than that."""
from functools import partial

import pytest
import torch
from launch.training_settings import check_training
from mmengine.config import Config
from mmengine.optim import AmpOptimWrapper, build_optim_wrapper

from mmc2v.engine import AutocastOptimWrapper, Float16OptimWrapper
from mmc2v.engine.gradient_cache import cached_step

from ..tiny import ROOT, batch, build_model

WRAPPERS = 'mmengine.optim.optimizer.amp_optimizer_wrapper'


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch):
    """torch's own scaler of the CPU; MMEngine asks for that of CUDA, and for a GPU."""
    monkeypatch.setattr(f'{WRAPPERS}.GradScaler', partial(torch.amp.GradScaler, 'cpu'))
    monkeypatch.setattr(f'{WRAPPERS}.is_cuda_available', lambda: True)


def of_the_config(kind, **kwargs):
    """A weight, and a wrapper with the clipping of the main config."""
    weight = torch.nn.Parameter(torch.ones(2))
    clip_grad = Config.fromfile(ROOT / 'configs' / 'clip2video_msrvtt.py').optim_wrapper.clip_grad
    return weight, kind(optimizer=torch.optim.SGD([weight], lr=1), clip_grad=dict(clip_grad),
                        **kwargs)


def test_an_overflow_skips_the_step_and_lowers_the_scale():
    weight, wrapper = of_the_config(Float16OptimWrapper)
    wrapper.update_params((weight * torch.tensor([1, float('inf')])).sum())
    assert weight.tolist() == [1, 1]
    assert wrapper.loss_scaler.get_scale() == 2 ** 15
    wrapper.update_params((weight * torch.tensor([3.0, 4.0])).sum())
    assert weight.tolist() == pytest.approx([1 - 0.6, 1 - 0.8])  # of norm 1, by the config
    assert wrapper.loss_scaler.get_scale() == 2 ** 15


def test_skipping_without_end_is_an_error_that_names_it():
    weight, wrapper = of_the_config(Float16OptimWrapper, max_skips=3)
    bad = torch.tensor([1, float('nan')])
    for _ in range(2):  # not in a row
        for _ in range(3):
            wrapper.update_params((weight * bad).sum())
        wrapper.update_params(weight.sum() * 0)
    for _ in range(3):
        wrapper.update_params((weight * bad).sum())
    with pytest.raises(FloatingPointError, match=r'4 steps in a row, down to a loss scale of 64'):
        wrapper.update_params((weight * bad).sum())
    assert weight.tolist() == [1, 1]


def test_a_fixed_scale_is_refused():
    with pytest.raises(ValueError, match=r'dict\(init_scale=512\.0\)'):
        of_the_config(Float16OptimWrapper, loss_scale=512.0)


def test_the_wrapper_of_mmengine_would_stop_at_the_first_overflow_and_is_refused():
    config = Config.fromfile(ROOT / 'configs' / 'clip2video_msrvtt.py')
    for kind in ('mmc2v.Float16OptimWrapper', 'mmc2v.AutocastOptimWrapper', 'AmpOptimWrapper'):
        config.optim_wrapper.type = kind
        config.optim_wrapper.dtype = 'bfloat16' if kind == 'AmpOptimWrapper' else None
        check_training(config)
    config.optim_wrapper.dtype = 'float16'
    with pytest.raises(ValueError, match=r'stops at the first.*type=mmc2v\.Float16OptimWrapper'):
        check_training(config)
    weight, wrapper = of_the_config(AmpOptimWrapper, dtype='float16')
    with pytest.raises(RuntimeError, match='non-finite'):
        wrapper.update_params((weight * torch.tensor([1, float('inf')])).sum())


def test_the_main_config_takes_it():
    config = Config.fromfile(ROOT / 'configs' / 'clip2video_msrvtt.py')
    config.optim_wrapper.update(type='mmc2v.Float16OptimWrapper', paramwise_cfg=None)
    wrapper = build_optim_wrapper(build_model(), config.optim_wrapper)
    assert (wrapper.cast_dtype, wrapper.clip_grad_kwargs) == (torch.float16, dict(max_norm=1.0))


def test_gradient_caching_scales_and_skips_alike(monkeypatch):
    """In bfloat16, which the CPU has; the scaling is what differs."""
    models = [build_model().train() for _ in range(2)]
    inputs = batch()
    data = dict(inputs={key: list(value) for key, value in inputs.items()}, data_samples=None)
    wrappers = [AutocastOptimWrapper(torch.optim.SGD(models[0].parameters(), lr=0.1)),
                Float16OptimWrapper(optimizer=torch.optim.SGD(models[1].parameters(), lr=0.1))]
    wrappers[1].cast_dtype = torch.bfloat16
    for model, wrapper in zip(models, wrappers):
        monkeypatch.setattr(model.data_preprocessor, 'forward', lambda data, training: dict(
            inputs={key: torch.stack(list(value)) for key, value in data['inputs'].items()},
            data_samples=None))
        cached_step(model, wrapper, data, 2)
    for (name, plain), (_, scaled) in zip(*(model.named_parameters() for model in models)):
        torch.testing.assert_close(scaled, plain, msg=name)
    wrappers[1].loss_scaler.update(float(2 ** 127))
    before = {name: value.clone() for name, value in models[1].state_dict().items()}
    cached_step(models[1], wrappers[1], data, 2)
    assert wrappers[1].loss_scaler.get_scale() == 2 ** 126
    for name, value in models[1].state_dict().items():
        assert torch.equal(value, before[name]), name
