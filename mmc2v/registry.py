"""Registries of the scope ``mmc2v``, children of MMEngine's root registries.

The parents are the roots so that ``mmc2v.X`` resolves from every scope, MMAction2's included.
"""
from mmengine import registry as root


def _child(parent: root.Registry, package: str) -> root.Registry:
    return root.Registry(parent.name, parent=parent, scope='mmc2v', locations=[f'mmc2v.{package}'])


DATASETS = _child(root.DATASETS, 'datasets')
DATA_SAMPLERS = _child(root.DATA_SAMPLERS, 'datasets')
TRANSFORMS = _child(root.TRANSFORMS, 'datasets')
MODELS = _child(root.MODELS, 'models')
METRICS = _child(root.METRICS, 'evaluation')
HOOKS = _child(root.HOOKS, 'engine')
LOOPS = _child(root.LOOPS, 'engine')
OPTIMIZERS = _child(root.OPTIMIZERS, 'engine')
OPTIM_WRAPPERS = _child(root.OPTIM_WRAPPERS, 'engine')
OPTIM_WRAPPER_CONSTRUCTORS = _child(root.OPTIM_WRAPPER_CONSTRUCTORS, 'engine')
PARAM_SCHEDULERS = _child(root.PARAM_SCHEDULERS, 'engine')
