"""Reads a config file and what the command line overrides of it; mistakes in either are named."""
import inspect
import json
import traceback
from argparse import Namespace
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Union

from mmengine.config import Config, DictAction
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmc2v.first_line import first_line_of
from mmc2v.installed import config_file
from mmc2v.registered_types import TAKEN_OUT, accepted_arguments, did_you_mean, find_type

# What a config need not have, and the runner, MMAction2's scripts or ours read.
TOP_LEVEL = {*inspect.signature(Runner.__init__).parameters, 'activation_checkpointing',
             'auto_scale_lr', 'compile', 'custom_imports', 'data_preprocessor',
             'disabled_hooks', 'efficient_conv_bn_eval', 'find_unused_parameters',
             'model_wrapper_cfg', 'runner_type', 'strategy', 'sync_bn', 'tta_model',
             'tta_pipeline', 'vis_backends'} - {'self', 'cfg'}
# Keys of dicts without a type.
LOADER = {*inspect.signature(DataLoader.__init__).parameters, 'num_batch_per_epoch'} - {'self'}
KEYS = {'train_dataloader': LOADER, 'val_dataloader': LOADER, 'test_dataloader': LOADER,
        'randomness': {*inspect.signature(Runner.set_randomness).parameters} - {'self'}}


def read_config(path: Union[str, Path], options: Sequence[str] = (),
                needs: Sequence[str] = ()) -> Config:
    """Read a config and override it.

    Args:
        path (str | Path): The file; ``mmc2v::NAME.py`` is one of the package's own.
        options (Sequence[str]): As after ``--cfg-options``, ``key.of.key=value``. Defaults to none.
        needs (Sequence[str]): Keys without which the caller can do nothing. Defaults to none.

    Returns:
        Config: With the options in it.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read, or lacks a key that is needed, or an option has no value
            or a key that nothing would read.
    """
    config = _read_file(config_file(str(path)))
    config = _with_options(config, parse_options(options))
    missing = [key for key in needs if config.get(key) is None]
    if missing:
        raise ValueError(f"'{path}' has no {', no '.join(missing)}; give a whole config, such as "
                         'configs/clip2video_msrvtt.py')
    return config


def require_number(where: str, node: Mapping[str, Any], key: str, least: int) -> None:
    """Refuse a number of a config that is too small, or none; where it is absent all is well.

    Args:
        where (str): What the config calls the node.
        node (Mapping[str, Any]): A dict of the config.
        key (str): Of the node.
        least (int): The least that it may be.

    Raises:
        ValueError: With the number.
    """
    value = node.get(key, least)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f'{where}.{key} must be a whole number from {least} up, got {value!r}')


def _read_file(path: str) -> Config:
    if not Path(path).is_file():
        raise FileNotFoundError(f"the config '{path}' is not a file")
    try:
        return Config.fromfile(path)
    except Exception as error:  # a config is a program, and may fail in any way
        # MMEngine writes the whole sys.path, and puts what failed into the cause
        reason = first_line_of(error.__cause__ or error)
        line = _line_of(error, Path(path))
        raise ValueError(f"the config '{path}' cannot be read: {type(error).__name__}: {reason}"
                         + (f' (line {line})' if line else '')) from error


def _line_of(error: BaseException, path: Path) -> int:
    """Return the line of the config that failed, 0 where it was none of its own."""
    return ([0] + [line for frame, line in traceback.walk_tb(error.__traceback__)
                   if frame.f_code.co_filename == str(path.absolute())])[-1]


def parse_options(options: Sequence[str]) -> dict[str, Any]:
    """Turn ``key=value`` into keys and values, as MMEngine does.

    Raises:
        ValueError: If one is of another form.
    """
    parsed = Namespace()
    action = DictAction([], 'values')
    for option in options:
        key, equals, _ = option.partition('=')
        if not equals or not all(key.split('.')):
            raise ValueError(f"--cfg-options takes key=value, got '{option}'")
        try:
            action(None, parsed, [option])
        except AssertionError as error:  # brackets that do not close
            raise ValueError(f"--cfg-options '{option}': {error}") from error
    return getattr(parsed, 'values', {})


def _with_options(config: Config, options: dict[str, Any]) -> Config:
    """Override a copy of a config; a key that nothing would read is refused, naming the nearest."""
    for key in options:
        _refuse_no_place(config, key)
    merged = config.copy()
    merged.merge_from_dict(options)
    scope = merged.get('default_scope') or 'mmengine'
    for key in options:  # now that types are those that will be built
        _refuse_unknown(config, merged, key, scope)
    return merged


def _refuse_no_place(config: Config, key: str) -> None:
    """Refuse keys within what holds no keys, and elements that a list does not have."""
    node: Any = config
    parts = key.split('.')
    for depth, part in enumerate(parts):
        where = '.'.join(parts[:depth])
        if isinstance(node, list):
            if not part.isdigit() or int(part) >= len(node):
                raise ValueError(f"--cfg-options {key}: '{where}' is a list of {len(node)}, whose "
                                 f"elements are numbered from 0, and has no '{part}'")
            node = node[int(part)]
        elif not isinstance(node, (dict, Config)):
            raise ValueError(f"--cfg-options {key}: '{where}' is {node!r} in the config and has no "
                             f"'{part}'; change the config itself")
        elif part not in node:
            return
        else:
            node = node[part]


def _refuse_unknown(config: Config, merged: Config, key: str, scope: str) -> None:
    """Refuse the first part of a key that is new where nothing would read it."""
    before: Any = config
    after: Any = merged
    parts = key.split('.')
    for depth, part in enumerate(parts):
        if isinstance(before, list):
            before, after = before[int(part)], after[int(part)]
            continue
        if part not in before:
            problem = _problem_of(part, '.'.join(parts[:depth]), before, after, scope)
            if problem:
                raise ValueError(f'--cfg-options {key}: {problem}')
            return  # what lies in something new is new
        before, after = before[part], after[part]


def _problem_of(part: str, where: str, before: Collection[str], after: dict, scope: str) -> str:
    """Say why nothing would read a key that is new, or nothing where something may."""
    if not where:
        known, is_open, owner = {*before, *TOP_LEVEL}, False, 'the config'
    elif where in KEYS:
        known, is_open, owner = KEYS[where], False, f"'{where}'"
    elif after.get('type') is not None:
        kind = find_type(after['type'], scope)
        if kind is None or part in TAKEN_OUT:
            return ''  # the former is said when it is built
        known, is_open = accepted_arguments(kind)
        owner = f"'{where}' ({getattr(kind, '__name__', kind)})"
    else:
        known, is_open, owner = set(before), True, f"'{where}'"
    if part in known:
        return ''
    # where names are free only what looks like a slip is refused
    hint = did_you_mean(part, known, cutoff=0.8 if is_open else 0.6)
    return '' if is_open and not hint else f"{owner} knows no '{part}'{hint}"


def plain(value: Any) -> Any:
    """Return what JSON gives back for a part of a config: dicts, lists, numbers and texts."""
    return json.loads(json.dumps(value, default=_unwrapped))


def _unwrapped(value: Any) -> Any:
    if isinstance(value, type):  # of configs that name classes
        return f'{value.__module__}.{value.__qualname__}'
    raise ValueError(f'the config has {value!r}, which is no plain value and cannot be kept')
