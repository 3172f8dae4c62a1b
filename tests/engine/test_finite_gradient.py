"""A gradient that is no number stops training before the step."""
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper

from ..tiny import ROOT


def test_a_gradient_that_is_not_finite_stops_before_the_step():
    weight = torch.nn.Parameter(torch.ones(2))
    clip_grad = Config.fromfile(ROOT / 'configs' / 'clip2video_msrvtt.py').optim_wrapper.clip_grad
    wrapper = OptimWrapper(torch.optim.SGD([weight], lr=1), clip_grad=dict(clip_grad))
    with pytest.raises(RuntimeError, match='non-finite'):
        wrapper.update_params((weight * torch.tensor([1, float('inf')])).sum())
    assert weight.tolist() == [1, 1]
