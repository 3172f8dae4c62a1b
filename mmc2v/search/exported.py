"""An exported model asks an index; a sentence needs neither torch nor MMAction2.

N sentences, D width of vectors.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Optional

import numpy as np

from mmc2v.export.runtime import Towers, require_cpu

if TYPE_CHECKING:
    from mmc2v.export.model import ExportedModel


def from_torch(name: str) -> Any:
    """Return a module of this package that needs torch and MMEngine.

    Args:
        name (str): Of the module.

    Raises:
        ImportError: If there is no torch.
    """
    if find_spec('torch') is None:
        raise ImportError('this needs torch and MMAction2, which are not installed; a sentence can '
                          'be asked without them by a model that tools/export.py made: --config '
                          'DIR')
    import_module('mmc2v.activation')  # before MMEngine's registries are asked
    return import_module(f'{__package__}.{name}')


class ExportedSearchModel:
    """Does for an exported model what :class:`~mmc2v.search.model.SearchModel` does.

    Args:
        description (Mapping[str, Any]): From
            :func:`~mmc2v.search.settings.describe_exported`, or settings of an index.
        device (str, optional): Has to be the CPU.

    Attributes:
        pipeline (list[dict]): That it is tested with.
        weights (str): Digest of its parameters.
        width (int): D.

    Raises:
        FileNotFoundError: If it is no longer there.
        ImportError: If nothing is installed that runs it.
        ValueError: If it is another one, not in ONNX, or is to run elsewhere.
    """

    def __init__(self, description: Mapping[str, Any], device: Optional[str] = None) -> None:
        folder = description['exported']
        require_cpu(device or 'cpu')
        self._towers = Towers(folder)
        if self._towers.backend == 'torch':  # which runs what is in such a file
            raise ValueError(f"search takes models that were exported as ONNX, and '{folder}' is "
                             'of another format')
        found = self._towers.description
        if any(found[key] != description[key] for key in ('model', 'pipeline')):
            raise ValueError(f"the exported model '{folder}' is no longer the one that it was; "
                             'give that one by --config')
        self.description, self.pipeline = dict(description), found['pipeline']
        self.weights, self.width = found['weights'], self._towers.width

    @cached_property
    def model(self) -> ExportedModel:
        """The model for videos, which are read by MMAction2's means."""
        return from_torch('model').init_model(self.description['exported'])

    def encode_text(self, sentence: str) -> np.ndarray:
        """Return the (D,) float32 unit vector of a sentence."""
        return self.encode_texts([sentence])[0]

    def encode_texts(self, sentences: Sequence[str]) -> np.ndarray:
        """Return (N, D) float32 unit vectors of sentences, which go through the tower together."""
        return self._towers.encode_texts(sentences)

    def hasten(self, bytes_to_read: int) -> str:
        """Leave everything as it is; see :meth:`SearchModel.hasten`."""
        return ''

    def encode_frames(self, frames: np.ndarray, num_frames: int) -> np.ndarray:
        """Do as :meth:`SearchModel.encode_frames`."""
        return from_torch('model').encode_frames(self.model, frames, num_frames)
