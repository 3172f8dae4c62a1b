"""Makes graphs of a model's two towers.

B videos, T frames, N captions, L tokens, D width of vectors.
"""
from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from mmc2v.first_line import first_line_of

from .runtime import TEXT_INPUTS, TEXT_OUTPUT, VIDEO_INPUTS, VIDEO_OUTPUT

FORMATS = {'onnx': '.onnx', 'pt2': '.pt2'}
# Frames of a video at least: what is made of fewer has other shapes (one frame has no difference,
# and every second of four leaves one difference); and at most, where a model has no bound itself.
_LEAST_FRAMES, _MOST_FRAMES = 5, 1024


class VideoGraph(nn.Module):
    """The video tower with all that comes after it.

    Args:
        model (nn.Module): A :class:`~mmc2v.models.clip2video.CLIP2Video`.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, frames: Tensor, frame_mask: Tensor) -> Tensor:
        """Return (B, D) unit vectors of (B, T, 3, H, W) frames with their (B, T) mask."""
        return self.model.encode_video(frames, frame_mask)


class TextGraph(nn.Module):
    """The text tower with all that comes after it; see :class:`VideoGraph`."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor) -> Tensor:
        """Return (N, D) unit vectors of (N, L) token ids."""
        return self.model.encode_text(tokens)


def most_frames(model: nn.Module) -> int:
    """Return how many frames a model takes at most."""
    positions = getattr(model.neck, 'position_embedding', None)
    return _MOST_FRAMES if positions is None else positions.num_embeddings


def least_frames(model: nn.Module) -> int:
    """Return how many frames a graph takes at least; fewer are filled up by padding."""
    return min(_LEAST_FRAMES, most_frames(model))


def example_inputs(model: nn.Module, size: tuple[int, int], num_frames: int,
                   seed: int = 0) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Make what a graph is traced with, and tried.

    Args:
        model (nn.Module): The model.
        size (tuple[int, int]): H, W.
        num_frames (int): T.
        seed (int): Of the numbers. Defaults to 0.

    Returns:
        tuple[dict, dict]: Inputs of the video and of the text graph; the last video and the last
        sentence have padding.
    """
    generator = torch.Generator().manual_seed(seed)
    frames = torch.randn(3, num_frames, 3, *size, generator=generator)
    mask = torch.ones(3, num_frames, dtype=torch.bool)
    mask[-1, 1:] = False
    frames[~mask] = 0
    convention, length = model.text_backbone.convention, 6
    tokens = torch.randint(2, 400, (3, length), generator=generator)
    if convention.end_token is not None:
        tokens[:, -1] = convention.end_token
        tokens[-1, 3:] = torch.tensor([convention.end_token, *2 * [convention.pad_token]])
    return dict(zip(VIDEO_INPUTS, (frames, mask))), dict(zip(TEXT_INPUTS, (tokens,)))


def write_graphs(model: nn.Module, folder: Path, kind: str, size: tuple[int, int],
                 num_frames: int) -> dict[str, str]:
    """Write both towers.

    Args:
        model (nn.Module): In evaluation mode, float32, on the CPU.
        folder (Path): Where to.
        kind (str): One of ``FORMATS``.
        size (tuple[int, int]): H, W.
        num_frames (int): T of the example; others can be asked of the graph.

    Returns:
        dict[str, str]: Names of the files of 'video' and 'text'.

    Raises:
        ImportError: If a package is missing.
        ValueError: If a part of the model cannot be exported.
    """
    least, most = least_frames(model), most_frames(model)
    video, text = example_inputs(model, size, min(max(num_frames, least + 1), most))
    batch = Dim('batch', min=1, max=2 ** 16)
    frames = Dim('frames', min=least, max=most) if least < most else None
    length = Dim('length', min=2, max=model.text_backbone.context_length)
    files = {}
    for name, graph, inputs, dims, output in (
            ('video', VideoGraph(model), video, {0: batch, 1: frames}, VIDEO_OUTPUT),
            ('text', TextGraph(model), text, {0: batch, 1: length}, TEXT_OUTPUT)):
        files[name] = f'{name}{FORMATS[kind]}'
        shapes = dict.fromkeys(inputs, dims)
        try:
            program = exported_program(graph, inputs, shapes)
            with _quiet():
                _write(program, folder / files[name], kind, inputs, shapes, output)
        except ImportError as error:
            raise ImportError(f'to write ONNX needs {error.name}: pip install '
                              "'mmc2v[export]'") from error
        except Exception as error:  # torch's own, of many classes
            part = model.backbone if name == 'video' else model.text_backbone
            raise ValueError(f'the {name} tower with {type(part).__name__} cannot be exported: '
                             f'{first_line_of(error)}') from error
    return files


def exported_program(graph: nn.Module, inputs: Mapping[str, Tensor],
                     shapes: Mapping[str, Any]) -> torch.export.ExportedProgram:
    """Make a program of a module.

    Args:
        graph (nn.Module): In evaluation mode.
        inputs (Mapping[str, Tensor]): Examples of what its ``forward`` takes.
        shapes (Mapping[str, Any]): Of each, which sizes are free, as ``torch.export`` takes it.

    Raises:
        Exception: Of torch, of many classes, if it cannot.
    """
    with _quiet(), torch.no_grad():
        # what torch cannot prove of sizes becomes a check in the graph, and no refusal
        return torch.export.export(graph, (), dict(inputs), dynamic_shapes=dict(shapes),
                                   strict=False,
                                   prefer_deferred_runtime_asserts_over_guards=True)


def _write(program: Any, path: Path, kind: str, inputs: Mapping[str, Tensor],
           shapes: Mapping[str, Any], output: str) -> None:
    if kind == 'pt2':
        return torch.export.save(program, path)
    torch.onnx.export(program, (), str(path), kwargs=dict(inputs), input_names=list(inputs),
                      output_names=[output], dynamic_shapes=shapes, dynamo=True,
                      external_data=True, verbose=False)  # which is mapped, and not read


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out what the exporter says of itself."""
    logger = logging.getLogger('torch.onnx')
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter('ignore')
            yield
    finally:
        logger.setLevel(level)
