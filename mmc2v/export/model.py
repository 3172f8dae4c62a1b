"""An exported model in the place of the model itself, for our Python API.

B videos, T frames, N captions, L tokens, D width of vectors.
"""
from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, Optional, Union

import torch
from mmaction.registry import TRANSFORMS
from mmengine.config import Config
from torch import Tensor

from mmc2v.models.data_preprocessor import RetrievalDataPreprocessor
from mmc2v.registered_types import first_unknown, known_types

from .runtime import Towers, require_cpu


class ExportedModel:
    """Answers as a :class:`~mmc2v.models.clip2video.CLIP2Video` in evaluation mode does.

    Args:
        folder (str | Path): Written by tools/export.py.
        backend (str, optional): See :class:`~mmc2v.export.runtime.Towers`.

    Attributes:
        cfg (Config): With ``test_dataloader.dataset.pipeline``, by which videos and sentences
            are read.
        towers (Towers): What runs.

    Raises:
        FileNotFoundError: If there is no such model.
        ImportError: If nothing is installed that runs it.
        ValueError: If it is damaged, or asks for transforms that are not registered.
    """

    backbone = None  # frames do not go through a tower of their own

    def __init__(self, folder: Union[str, Path], backend: Optional[str] = None) -> None:
        self.towers = Towers(folder, backend)
        description = self.towers.description
        _refuse_unregistered(description['pipeline'], folder)
        self.cfg = Config(dict(model=description['model'], test_dataloader=dict(
            dataset=dict(pipeline=description['pipeline']))))
        self.data_preprocessor = RetrievalDataPreprocessor(
            description['video']['mean'], description['video']['std'],
            description['tokenizer']['pad_token'])

    def eval(self) -> ExportedModel:
        """Return the model, which has no other mode."""
        return self

    def to(self, device: Any) -> ExportedModel:
        """Return the model.

        Raises:
            ValueError: If it is to run elsewhere than on the CPU.
        """
        require_cpu(device)
        return self

    def encode_video(self, frames: Tensor, frame_mask: Optional[Tensor] = None) -> Tensor:
        """Return (B, D) unit vectors of videos.

        Args:
            frames (Tensor): (B, T, 3, H, W), normalised.
            frame_mask (Tensor, optional): (B, T) bool, True = valid. Defaults to all.
        """
        if frame_mask is None:
            frame_mask = torch.ones(frames.shape[:2], dtype=torch.bool)
        return torch.from_numpy(self.towers.encode_video(frames.numpy(), frame_mask.numpy()))

    def encode_text(self, tokens: Tensor) -> Tensor:
        """Return (N, D) unit vectors of (N, L) token ids."""
        return torch.from_numpy(self.towers.encode_tokens(tokens.numpy()))


def _refuse_unregistered(pipeline: Any, folder: Union[str, Path]) -> None:
    """Refuse what a model from a stranger could name beside transforms."""
    for module in ('mmaction.datasets', 'mmc2v.datasets'):
        import_module(module)
    unknown = first_unknown(pipeline, known_types(TRANSFORMS))
    if unknown is not None:
        raise ValueError(f"the exported model '{folder}' asks for '{unknown}', which is none of "
                         'the transforms that are registered')
