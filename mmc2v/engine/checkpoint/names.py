"""Names of a run's checkpoints, and what of a resumed checkpoint's own words is taken for one."""
import os
import re
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

# In the message hub, and so in every checkpoint: names of files beside it that it supersedes.
OUTDATED = 'outdated_ckpts'


def numbered_names(template: str) -> re.Pattern:
    """Return the pattern of checkpoints' names, with the number as its group.

    Args:
        template (str): Their names, with {} for the number.
    """
    return re.compile(re.escape(template).replace(r'\{\}', r'(\d+)'))


def best_names(template: str, key: str) -> re.Pattern:
    """Return the pattern of the names of best checkpoints.

    Args:
        template (str): See :func:`numbered_names`.
        key (str): Figure that they are the best by; 'auto' is any.
    """
    figure = r'[^/\\]+' if key == 'auto' else re.escape(key.replace('/', '_'))
    return re.compile(f'best_{figure}_{numbered_names(template).pattern}')


def keep_only_names(info: MutableMapping[str, Any], folder: str, template: str,
                    best: Mapping[str, str]) -> None:
    """Reduce what a checkpoint says of files to names of this run's own kind and folder.

    A file may say anything, and what it calls old is removed. A work dir may also be a copy, whose
    checkpoints name the files of the original.

    Args:
        info (MutableMapping): MMEngine's runtime information, as loaded; changed in place.
        folder (str): Where this run's checkpoints are.
        template (str): See :func:`numbered_names`.
        best (Mapping[str, str]): For each entry that names a best checkpoint, by which figure.
    """
    info.pop('last_ckpt', None)  # it is the file that was loaded, whatever that says
    for entry, key in best.items():
        if entry in info:
            name = os.path.basename(str(info[entry]))
            path = os.path.join(folder, name)
            is_own = best_names(template, key).fullmatch(name) and os.path.isfile(path)
            info[entry] = path if is_own else None
    patterns = [numbered_names(template), *(best_names(template, key) for key in best.values())]
    _keep_only(info, 'keep_ckpt_ids', lambda step: type(step) is int)
    _keep_only(info, OUTDATED, lambda name: isinstance(name, str) and any(
        pattern.fullmatch(name) for pattern in patterns))


def _keep_only(info: MutableMapping[str, Any], entry: str, fits: Callable[[Any], bool]) -> None:
    """Keep of a list what fits, and nothing of what is no list."""
    if entry in info:
        value = info[entry]
        info[entry] = [element for element in value if fits(element)] if isinstance(
            value, list) else []
