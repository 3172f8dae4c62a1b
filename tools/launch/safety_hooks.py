"""Hooks that training has, whatever the list of hooks in a config."""
import inspect
from typing import Any

from mmengine.config import Config

from mmc2v.engine import (
    BestAndLastHook,
    ContrastiveBatchHook,
    EpochRandomnessHook,
    LoaderShareHook,
    SplitOverlapHook,
    UndecodableVideosHook,
)
from mmc2v.engine.hooks.split_overlap import annotation_files
from mmc2v.registered_types import did_you_mean, find_type

SAFETY_HOOKS = {f'mmc2v.{hook.__name__}': hook for hook in (
    EpochRandomnessHook, ContrastiveBatchHook, UndecodableVideosHook, SplitOverlapHook,
    BestAndLastHook, LoaderShareHook)}


def complete_hooks(config: Config) -> list[str]:
    """Add the hooks that training on videos and captions wants and a config lacks.

    A list in a config replaces that of its base, so a config that adds a hook to ``custom_hooks``
    drops these. One is left out by ``disabled_hooks=['mmc2v.SplitOverlapHook']``.

    Args:
        config (Config): Its ``custom_hooks`` are changed in place.

    Returns:
        list[str]: Types of those that were added.

    Raises:
        ValueError: If ``disabled_hooks`` names something else.
    """
    disabled = config.get('disabled_hooks') or []
    for name in disabled:
        if name not in SAFETY_HOOKS:
            raise ValueError(f"disabled_hooks names '{name}', which is none of "
                             f'{list(SAFETY_HOOKS)}{did_you_mean(name, SAFETY_HOOKS)}')
    scope = config.get('default_scope') or 'mmengine'
    hooks = [(find_type(hook.type, scope), hook) for hook in config.get('custom_hooks') or []]
    hooks = [(kind, hook) for kind, hook in hooks
             if not any(_is(kind, SAFETY_HOOKS[name]) for name in disabled)]
    missing = [name for name, wanted in SAFETY_HOOKS.items() if name not in disabled
               and not any(_is(kind, wanted) for kind, _ in hooks)]
    if not any(annotation_files(config.train_dataloader)):
        missing = []  # other data have checks of their own
    config.custom_hooks = [*(hook for _, hook in hooks), *(dict(type=name) for name in missing)]
    return missing


def _is(kind: Any, wanted: type) -> bool:
    """Whether what a config names, which may be unknown, is a kind of hook."""
    return inspect.isclass(kind) and issubclass(kind, wanted)
