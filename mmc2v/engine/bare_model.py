"""The model that a runner trains or tests."""
from mmengine.runner import Runner
from torch import nn


def bare_model(runner: Runner) -> nn.Module:
    """Return the model without what distributes it."""
    return getattr(runner.model, 'module', runner.model)
