"""What an index keeps of its model; needs neither torch nor MMEngine."""
import os
import reprlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import NoneType
from typing import Any, Optional

from mmc2v.export.runtime import read_description

from .records import Store

# PE-Core-B/16 with mean pooling: zero-shot it finds about half of MSR-VTT's videos at rank 1, where
# CLIP's ViT-B/32 finds 30 % (figures of their authors), at three times the cost of a frame.
DEFAULT_CONFIG = 'mmc2v::zeroshot_msrvtt.py'
PRECISIONS = ('float32', 'bfloat16')
# What an index keeps of its model, and of which types.
_KINDS = dict(name=(str,), model=(dict,), pipeline=(list,), checkpoint=(str, NoneType),
              precision=(str,), window=(float, int), stride=(float, int), weights=(str,),
              width=(int,), exported=(str, NoneType))


def require_precision(precision: Optional[str]) -> None:
    """Refuse what is no precision.

    Raises:
        ValueError: With those that there are.
    """
    if precision not in (None, *PRECISIONS):
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got '{precision}'")


def describe_exported(folder: str, checkpoint: Optional[str], precision: Optional[str],
                      options: Sequence[str]) -> dict[str, Any]:
    """Describe an exported model: as the one that it was made of, and where it is.

    Args:
        folder (str): Of the exported model.
        checkpoint (str, optional): Has to be none.
        precision (str, optional): Of the index.
        options (Sequence[str]): Have to be none.

    Raises:
        ValueError: If a checkpoint or options are given, the description is damaged, or there is
            no such precision.
    """
    require_precision(precision)
    if checkpoint or options:
        raise ValueError(f"'{folder}' is an exported model, which has its weights and its config: "
                         'give neither --checkpoint nor --cfg-options')
    found = read_description(folder)
    return dict(name=found['name'] or Path(folder).name, model=found['model'],
                pipeline=found['pipeline'], checkpoint=None, precision=precision or 'float32',
                exported=os.path.abspath(folder))


def check_settings(settings: Mapping[str, Any], store: Store) -> None:
    """Refuse settings that another program wrote, or left out.

    Args:
        settings (Mapping[str, Any]): Of an index.
        store (Store): The index, for the message.

    Raises:
        UnusableIndexError: With the name.
    """
    for key, kinds in _KINDS.items():
        if type(settings.get(key)) not in kinds:
            raise store.damaged(f'the setting {key!r} is {reprlib.repr(settings.get(key))}')
    if settings['precision'] not in PRECISIONS or not all(
            0 < settings[key] < float('inf') for key in ('window', 'stride')):
        raise store.damaged("the settings 'precision', 'window' or 'stride' cannot be")
