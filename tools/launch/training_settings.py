"""Refuses what MMEngine would meet with a riddle, or without a word, once training begins."""
from mmengine.config import Config
from mmengine.optim import AmpOptimWrapper
from mmengine.registry import OPTIMIZERS, PARAM_SCHEDULERS

from mmc2v.config_reading import require_number
from mmc2v.registered_types import find_type, unknown_type


def check_training(config: Config) -> None:
    """Check the numbers of the training loop, and the optimizer, its wrapper and schedulers.

    Args:
        config (Config): With ``train_cfg`` and ``optim_wrapper``.

    Raises:
        ValueError: With the key, or with the name that is not known. If float16 would stop at its
            first overflow.
    """
    wrapper, scope = config.optim_wrapper, config.get('default_scope') or 'mmengine'
    for key in ('max_epochs', 'max_iters', 'val_interval'):
        require_number('train_cfg', config.train_cfg, key, 1)
    schedulers = config.get('param_scheduler') or []
    schedulers = schedulers if isinstance(schedulers, (list, tuple)) else [schedulers]
    components = [(OPTIMIZERS, config.optim_wrapper.get('optimizer')),
                  *((PARAM_SCHEDULERS, scheduler) for scheduler in schedulers)]
    for registry, component in components:
        name = component.get('type') if isinstance(component, dict) else None
        if name is not None and find_type(name, scope) is None:
            raise ValueError(unknown_type(name, registry))
    if find_type(wrapper.get('type'), scope) is AmpOptimWrapper \
            and wrapper.get('dtype') in (None, 'float16') \
            and (wrapper.get('clip_grad') or {}).get('error_if_nonfinite'):
        raise ValueError(
            'AmpOptimWrapper in float16 with clip_grad.error_if_nonfinite stops at the first '
            'overflow, which loss scaling expects: take '
            'optim_wrapper.type=mmc2v.Float16OptimWrapper')
