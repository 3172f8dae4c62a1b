"""Lets checkpoints of MMEngine be read with weights_only, log buffers included."""
import io
import pickle
import types
from collections.abc import Callable
from typing import Any, Optional

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.utils import digit_version


def _history_buffer_method(owner: Any, name: str) -> Callable:
    """Stand in for ``getattr`` in checkpoints: HistoryBuffer's public methods, nothing else."""
    method = vars(HistoryBuffer).get(name) if owner is HistoryBuffer else None
    if name.startswith('_') or not isinstance(method, types.FunctionType):
        raise ValueError(f'getattr({owner!r}, {name!r}) is not allowed in a checkpoint')
    return method


def harmless_globals() -> dict[str, Any]:
    """Return what MMEngine's checkpoints name beside weights, by names as pickles write them."""
    kinds = [HistoryBuffer, np.ndarray, np.dtype,
             *(type(np.dtype(name)) for name in ('bool', 'int32', 'int64', 'uint8', 'float16',
                                                 'float32', 'float64'))]
    return {**{f'{kind.__module__}.{kind.__name__}': kind for kind in kinds},
            'builtins.getattr': _history_buffer_method,
            **{f'numpy.{core}.multiarray.{name}': value.__reduce__()[0]
               for name, value in (('_reconstruct', np.zeros(1)), ('scalar', np.float64(1)))
               for core in ('core', '_core')}}  # as numpy 1 and numpy 2 write it


def weights_only_serves() -> bool:
    """Say whether ``torch.load`` with weights_only can be told of log buffers and is safe.

    Before 2.6 names cannot be given to functions that stand in, and weights_only lets TorchScript
    run, and tar archives be extracted.
    https://github.com/pytorch/pytorch/security/advisories/GHSA-53q9-r3pm-6pq6
    """
    return digit_version(torch.__version__) >= digit_version('2.6.0')


def allow_history_buffer() -> bool:
    """Let ``torch.load`` with weights_only read the log buffers in MMEngine's checkpoints.

    torch >= 2.6 loads with weights_only by default and refuses them, which breaks ``load_from``
    and ``resume``. The allow-list grows by what they consist of; weights_only stays on, and the
    real ``getattr`` stays forbidden.
    https://github.com/open-mmlab/mmengine/issues/1655

    Returns:
        bool: True if a log buffer was refused and the allow-list was extended.
    """
    if not weights_only_serves() or _refusal() is None:
        return False
    torch.serialization.add_safe_globals([(kind, name)
                                          for name, kind in harmless_globals().items()])
    refusal = _refusal()
    if refusal is not None:
        raise ImportError(f'torch {torch.__version__} refuses checkpoints of MMEngine: {refusal}')
    return True


def _refusal() -> Optional[Exception]:
    """Save a log buffer and load it with weights_only; return the error, if any."""
    stream = io.BytesIO()
    torch.save(HistoryBuffer([1.0], [1]), stream)
    stream.seek(0)
    try:
        torch.serialization.load(stream, weights_only=True)
    except pickle.UnpicklingError as error:
        return error
    return None
