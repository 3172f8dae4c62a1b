"""Registries of the scope ``mmc2v``, children of MMEngine's root registries.

The parents are the roots so that ``mmc2v.X`` resolves from every scope, MMAction2's included.
"""
from mmengine import registry as root

_MODULES = {
    'DATASETS': ['mmc2v.datasets'],
    'DATA_SAMPLERS': ['mmc2v.datasets'],
    'TRANSFORMS': ['mmc2v.datasets'],
    'MODELS': ['mmc2v.models'],
    'METRICS': ['mmc2v.evaluation'],
    'HOOKS': ['mmc2v.engine'],
    'LOOPS': ['mmc2v.engine'],
    'OPTIM_WRAPPERS': ['mmc2v.engine'],
    'OPTIM_WRAPPER_CONSTRUCTORS': ['mmc2v.engine'],
    'PARAM_SCHEDULERS': ['mmc2v.engine'],
}


def _child(name: str) -> root.Registry:
    parent = getattr(root, name)
    return root.Registry(parent.name, parent=parent, scope='mmc2v', locations=_MODULES[name])


DATASETS = _child('DATASETS')
DATA_SAMPLERS = _child('DATA_SAMPLERS')
TRANSFORMS = _child('TRANSFORMS')
MODELS = _child('MODELS')
METRICS = _child('METRICS')
HOOKS = _child('HOOKS')
LOOPS = _child('LOOPS')
OPTIM_WRAPPERS = _child('OPTIM_WRAPPERS')
OPTIM_WRAPPER_CONSTRUCTORS = _child('OPTIM_WRAPPER_CONSTRUCTORS')
PARAM_SCHEDULERS = _child('PARAM_SCHEDULERS')
