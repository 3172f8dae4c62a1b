"""Writes a model as files that run without torch, with what has to be known to feed them."""
from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np
import torch
from torch import nn

from mmc2v.config_reading import plain
from mmc2v.models.digest import digest_of_weights
from mmc2v.version import __version__
from mmc2v.whole_files import make_whole_folder

from .graphs import example_inputs, least_frames, most_frames, write_graphs
from .runtime import DESCRIPTION, FORMAT, Towers, is_exported
from .text import write_clip_tokenizer

_TOKENIZER = 'tokenizer.json'


def export_model(model: nn.Module, folder: Union[str, Path], kind: str = 'onnx',
                 name: str = '') -> dict[str, Any]:
    """Write both towers of a model and their description; the folder is whole or as before.

    Args:
        model (nn.Module): From :func:`~mmc2v.apis.init_model`, on the CPU, in float32.
        folder (str | Path): Where to; an exported model that is there is replaced.
        kind (str): 'onnx' or 'pt2'. Defaults to 'onnx'.
        name (str): Of the model, for people. Defaults to none.

    Returns:
        dict[str, Any]: What ``model.json`` says, and under ``difference`` the largest one between
        numbers of vectors by the files and by the model.

    Raises:
        ValueError: If the model has no frames for input, a part cannot be exported, or the folder
            is something else.
        ImportError: If a package is missing.
    """
    folder = Path(folder)
    if folder.exists() and not is_exported(folder) and (
            not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"'{folder}' is no exported model and stays as it is; choose another "
                         '--out, or delete it')
    pipeline = plain(model.cfg.test_dataloader.dataset.pipeline)
    size, num_frames = image_size(model, pipeline), _step(pipeline, 'Sample')['num_frames']
    with make_whole_folder(folder) as new:
        files = write_graphs(model, new, kind, size, num_frames)
        description = dict(
            format=FORMAT, name=name, mmc2v=__version__, torch=torch.__version__.split('+')[0],
            video=dict(file=files['video'], image_size=list(size),
                       least_frames=least_frames(model), most_frames=most_frames(model),
                       **_normalisation(model)),
            text=dict(file=files['text']), tokenizer=_tokenizer(model, pipeline, new),
            width=len(model.head.kinds) * model.head.embed_dim, kinds=model.head.kinds,
            logit_scale=float(model.head.logit_scale.detach().exp()),
            pipeline=pipeline, model=plain(model.cfg.model), weights=digest_of_weights(model))
        (new / DESCRIPTION).write_text(json.dumps(description, indent=1), encoding='utf-8')
    return dict(description, difference=largest_difference(model, folder, size, num_frames))


def largest_difference(model: nn.Module, folder: Union[str, Path], size: tuple[int, int],
                       num_frames: int) -> float:
    """Return the largest difference between numbers of vectors by the files and by the model.

    Args:
        model (nn.Module): The model.
        folder (str | Path): Its exported form.
        size (tuple[int, int]): H, W.
        num_frames (int): T.
    """
    towers, largest = Towers(folder), 0.0
    most = most_frames(model)
    for seed, frames in enumerate(sorted({min(num_frames, most), min(num_frames + 1, most), 1})):
        video, text = example_inputs(model, size, frames, seed + 1)
        with torch.inference_mode():
            expected = model.encode_video(**video), model.encode_text(**text)
        found = (towers.encode_video(*(value.numpy() for value in video.values())),
                 towers.encode_tokens(*(value.numpy() for value in text.values())))
        largest = max(largest, *(float(np.abs(one - other.numpy()).max())
                                 for one, other in zip(found, expected)))
    return largest


def _step(pipeline: Sequence[Mapping[str, Any]], part: str) -> Mapping[str, Any]:
    """Return the step of a pipeline whose name begins with something."""
    for step in pipeline:
        if step['type'].split('.')[-1].startswith(part):
            return step
    raise ValueError(f'the test pipeline has no step {part}..., which an exported model needs; '
                     'models of features in place of frames cannot be exported')


def image_size(model: nn.Module, pipeline: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    """Return H, W of frames.

    Args:
        model (nn.Module): A :class:`~mmc2v.models.clip2video.CLIP2Video`.
        pipeline (Sequence[Mapping]): That it is tested with.

    Raises:
        ValueError: If neither says.
    """
    size = getattr(model.backbone, 'image_size', None) or _step(pipeline, 'Resize')['size']
    return (size, size) if isinstance(size, int) else tuple(size)


def _normalisation(model: nn.Module) -> dict[str, Any]:
    """Return what is taken off pixels of 0 to 255, and by what they are divided then."""
    preprocessor = model.data_preprocessor
    return {key: getattr(preprocessor, key).flatten().tolist() for key in ('mean', 'std')}


def _tokenizer(model: nn.Module, pipeline: Sequence[Mapping[str, Any]],
               folder: Path) -> dict[str, Any]:
    """Write the tokenizer, where it is CLIP's, and return how sentences are laid out."""
    from mmc2v.registry import TRANSFORMS
    step, convention = _step(pipeline, 'Tokenize'), model.text_backbone.convention
    tokenizer = TRANSFORMS.build(dict(step)).tokenizer
    file: Optional[str] = None
    if hasattr(tokenizer, 'bpe_ranks'):
        write_clip_tokenizer(tokenizer, folder / _TOKENIZER)
        file = _TOKENIZER
    return dict(file=file, max_words=step.get('max_words', 32),
                context_length=model.text_backbone.context_length,
                start_token=getattr(tokenizer, 'sot_token_id', None),
                end_token=convention.end_token, pad_token=convention.pad_token)
