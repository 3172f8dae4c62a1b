"""Learning rate and weight decay of every parameter of the main config."""
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper

from mmc2v.engine import AutocastOptimWrapper, RetrievalOptimWrapperConstructor
from mmc2v.registry import MODELS

from ..tiny import ROOT, build_model


def test_every_parameter_of_the_main_config():
    config = Config.fromfile(ROOT / 'configs' / 'clip2video_msrvtt.py')
    with torch.device('meta'):
        model = MODELS.build(config.model)
    wrapper = build_optim_wrapper(model, config.optim_wrapper)
    assert isinstance(wrapper, AutocastOptimWrapper)
    optimizer = wrapper.optimizer
    assert isinstance(optimizer, torch.optim.AdamW)
    assert optimizer.defaults['betas'] == (0.9, 0.98)
    settings = {id(parameter): group for group in optimizer.param_groups
                for parameter in group['params']}
    assert sum(len(group['params']) for group in optimizer.param_groups) == len(settings) == len(
        list(model.parameters()))
    for name, parameter in model.named_parameters():
        is_clip = name.startswith(('backbone.', 'text_backbone.')) or name == 'head.logit_scale'
        group = settings[id(parameter)]
        assert group['lr'] == pytest.approx(1e-6 if is_clip else 1e-4), name
        assert group['weight_decay'] == (0.0 if parameter.ndim <= 1 else 0.2), name
    decayed = [n for n, p in model.named_parameters() if settings[id(p)]['weight_decay']]
    assert not any(n.endswith(('bias', 'in_proj_bias', 'logit_scale', 'class_embedding'))
                   or 'ln_' in n or '.norm.' in n for n in decayed)
    assert len(optimizer.param_groups) == 4  # equal settings share a group


def build(paramwise_cfg):
    model = build_model()
    constructor = RetrievalOptimWrapperConstructor(
        dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=1.0, weight_decay=0.1)),
        paramwise_cfg)
    return model, constructor(model)


def test_longest_prefix_counts_and_frozen_parameters_stay_out():
    model, wrapper = build(dict(lr_mult={'neck': 0.5, 'neck.transformer': 0.25}))
    rates = {id(p): g['lr'] for g in wrapper.optimizer.param_groups for p in g['params']}
    assert rates[id(model.neck.position_embedding.weight)] == 0.5
    assert rates[id(model.neck.transformer.resblocks[0].ln_1.weight)] == 0.25
    assert rates[id(model.head.logit_scale)] == 1.0
    model = build_model()
    model.backbone.requires_grad_(False)
    frozen = {id(p) for p in model.backbone.parameters()}
    constructor = RetrievalOptimWrapperConstructor(
        dict(optimizer=dict(type='SGD', lr=1.0)), dict(lr_mult={}))
    assert not frozen & {id(p) for g in constructor(model).optimizer.param_groups
                         for p in g['params']}


def test_leftover_keys_are_errors():
    with pytest.raises(ValueError, match=r"\['nek'\], but no parameter begins so"):
        build(dict(lr_mult=dict(nek=0.1)))
    with pytest.raises(ValueError, match='custom_keys'):
        build(dict(custom_keys={}))
