"""Refuses what MMEngine would meet with a riddle, or without a word, once training begins."""
from mmengine.config import Config
from mmengine.registry import OPTIMIZERS, PARAM_SCHEDULERS

from mmc2v.config_reading import require_number
from mmc2v.registered_types import find_type, unknown_type


def check_training(config: Config) -> None:
    """Check the numbers of the training loop, and that optimizer and schedulers exist.

    Args:
        config (Config): With ``train_cfg`` and ``optim_wrapper``.

    Raises:
        ValueError: With the key, or with the name that is not known.
    """
    for key in ('max_epochs', 'max_iters', 'val_interval'):
        require_number('train_cfg', config.train_cfg, key, 1)
    schedulers = config.get('param_scheduler') or []
    schedulers = schedulers if isinstance(schedulers, (list, tuple)) else [schedulers]
    components = [(OPTIMIZERS, config.optim_wrapper.get('optimizer')),
                  *((PARAM_SCHEDULERS, scheduler) for scheduler in schedulers)]
    for registry, component in components:
        name = component.get('type') if isinstance(component, dict) else None
        if name is not None and find_type(name, config.get('default_scope') or 'mmengine') is None:
            raise ValueError(unknown_type(name, registry))
