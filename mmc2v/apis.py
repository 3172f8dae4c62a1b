"""Encode videos and sentences from Python.

Example:
    >>> model = init_model('configs/clip2video_msrvtt.py', 'msrvtt.pth')
    >>> encode_texts(model, ['a dog runs']) @ encode_videos(model, ['dog.mp4', 'cat.mp4']).T
"""
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Optional, Union

import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint
from torch import Tensor, nn

from mmc2v.config_reading import read_config
from mmc2v.export.model import ExportedModel
from mmc2v.export.runtime import is_exported
from mmc2v.first_line import first_line_of
from mmc2v.models.text_chunks import embed_by_length
from mmc2v.registry import MODELS


def init_model(config: Union[str, Path, Config], checkpoint: Optional[str] = None,
               device: str = 'cpu', bf16: bool = False) -> Union[nn.Module, ExportedModel]:
    """Build a model for inference.

    Args:
        config (str | Path | Config): Its config; ``mmc2v::NAME.py`` is one of the package's own.
            Or the folder of an exported model (tools/export.py), which needs nothing else.
        checkpoint (str, optional): Its checkpoint. Without one it starts from the config's CLIP
            weights.
        device (str): Where it runs. Defaults to 'cpu'.
        bf16 (bool): See :func:`use_bf16_weights`. Defaults to False.

    Returns:
        nn.Module | ExportedModel: The model in evaluation mode, its config in ``model.cfg``.

    Raises:
        FileNotFoundError: If there is no such config or checkpoint.
        ImportError: If nothing is installed that runs an exported model.
        ValueError: If there is no checkpoint and parameters would be random, or as
            :func:`load_whole` says.
    """
    if not isinstance(config, Config) and is_exported(config):
        return _init_exported(config, checkpoint, device, bf16)
    config = config if isinstance(config, Config) else read_config(config, needs=['model'])
    init_default_scope(config.get('default_scope', 'mmaction'))
    model = MODELS.build(config.model)
    if checkpoint is not None:
        load_whole(model, checkpoint)
    else:
        start_from_pretrained(model)
    model.cfg = config
    if bf16:
        use_bf16_weights(model)
    return model.to(device).eval()


def _init_exported(folder: Union[str, Path], checkpoint: Optional[str], device: str,
                   bf16: bool) -> ExportedModel:
    if checkpoint is not None or bf16:
        raise ValueError(f"'{folder}' is an exported model, which has its weights and its "
                         'precision: give neither a checkpoint nor bf16')
    init_default_scope('mmaction')
    return ExportedModel(folder).to(device)


def usable_device(device: Optional[str] = None) -> str:
    """Return a device that models can run on.

    Args:
        device (str, optional): Such as 'cpu' or 'cuda:0'. Defaults to a GPU if there is one.

    Raises:
        ValueError: If it cannot be used.
    """
    device = device or ('cuda' if torch.cuda.is_available() else 'cpu')
    try:
        torch.empty(0, device=device)
    except (AssertionError, RuntimeError) as error:  # torch without it, or no such name
        raise ValueError(f"the device '{device}' cannot be used: {first_line_of(error)}"
                         ) from error
    return device


def load_whole(model: nn.Module, checkpoint: str) -> None:
    """Load all parameters of a model from a checkpoint.

    Args:
        model (nn.Module): Not wrapped.
        checkpoint (str): File or address.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint, damaged, or holds more than weights, or its parameters
            are not those of the model.
    """
    try:
        load_checkpoint(model, checkpoint, map_location='cpu', strict=True)
    except RuntimeError as error:
        raise ValueError(f"'{checkpoint}' is not a checkpoint of this config's model; give the "
                         f'config that it was trained with, or convert it first. {error}') \
            from error


def use_bf16_weights(model: nn.Module) -> None:
    """Keep towers and neck in bfloat16, for inference.

    On CPUs with bfloat16 instructions this takes a fraction of the time, and half of the memory
    everywhere. The head, so embeddings and scores, stays in float32.

    Args:
        model (nn.Module): With ``backbone``, ``text_backbone`` and ``neck``; changed in place.
    """
    for part in (model.backbone, model.text_backbone, model.neck):
        part.bfloat16()
    model.backbone.register_forward_pre_hook(
        lambda module, inputs: tuple(value.bfloat16() if value.is_floating_point() else value
                                     for value in inputs))


def start_from_pretrained(model: nn.Module) -> None:
    """Take the weights that training would start from.

    Args:
        model (nn.Module): Built, not wrapped.

    Raises:
        ValueError: If some of them would be random, or the model cannot say.
    """
    random = model.init_weights()
    if random is None or random:
        examples = f': {random[:4]} and so on, {len(random)} in all' if random else ''
        raise ValueError(f'without a checkpoint these parameters would be random{examples}. Give '
                         'a checkpoint, or a config whose parts all start from CLIP weights '
                         '(model.pretrained, no alignment block)')


def reading_steps(model: nn.Module, for_text: bool,
                  pipeline: Optional[Sequence[dict]] = None) -> Compose:
    """Return the part of the test pipeline that reads one modality.

    Args:
        model (nn.Module): From :func:`init_model`, or any with ``pipeline``.
        for_text (bool): Of texts, which take ``dict(captions=[...])``, or of videos, which take
            ``dict(filename=..., video_id=...)``.
        pipeline (Sequence[dict], optional): Defaults to that of ``model.cfg``.
    """
    pipeline = pipeline or model.cfg.test_dataloader.dataset.pipeline
    names = [step['type'].split('.')[-1] for step in pipeline]
    return Compose([step for step, name in zip(pipeline, names)
                    if name == 'PackRetrievalInputs' or (name == 'Tokenize') == for_text])


def takes_features(model: nn.Module) -> bool:
    """Say whether a model of :func:`init_model` reads features in place of videos."""
    return any(step['type'].split('.')[-1] == 'LoadFeatures'
               for step in model.cfg.test_dataloader.dataset.pipeline)


def _refuse_no_list(name: str, values: Sequence[str]) -> None:
    if isinstance(values, (str, Path)) or len(values) == 0:
        raise ValueError(f'{name} must be a list with at least one element, got {values!r}')


@torch.inference_mode()
def encode_videos(model: nn.Module, paths: Sequence[str], batch_size: int = 16, *,
                  pipeline: Optional[Sequence[dict]] = None) -> Tensor:
    """Encode video files.

    Args:
        model (nn.Module): From :func:`init_model`, or any with ``pipeline``.
        paths (Sequence[str]): M video files.
        batch_size (int): Videos at a time. Defaults to 16.
        pipeline (Sequence[dict], optional): What the model is tested with. Defaults to that of
            ``model.cfg``.

    Returns:
        Tensor: (M, D) unit vectors, on the CPU.

    Raises:
        ValueError: If it is one path instead of a list, or none.
        VideoDecodeError: If a file cannot be decoded.
    """
    _refuse_no_list('paths', paths)
    steps = reading_steps(model, for_text=False, pipeline=pipeline)
    return encode_batches(model, (
        pseudo_collate([steps(dict(filename=str(path), video_id=str(path)))
                        for path in paths[start:start + batch_size]])
        for start in range(0, len(paths), batch_size)))


@torch.inference_mode()
def encode_batches(model: nn.Module, batches: Iterable[dict]) -> Tensor:
    """Encode videos that are read already, such as by a loader.

    Args:
        model (nn.Module): From :func:`init_model`.
        batches (Iterable[dict]): Collated by ``pseudo_collate``, of items that
            :func:`reading_steps` gave.

    Returns:
        Tensor: (M, D) unit vectors of all videos in their order, on the CPU.
    """
    parts: list[Tensor] = []
    for batch in batches:
        inputs = model.data_preprocessor(batch)['inputs']
        parts.append(model.encode_video(inputs['frames'], inputs['frame_mask']).cpu())
    return torch.cat(parts)


@torch.inference_mode()
def encode_texts(model: nn.Module, sentences: Sequence[str], batch_size: int = 256,
                title: str = '', *, pipeline: Optional[Sequence[dict]] = None) -> Tensor:
    """Encode sentences.

    Args:
        model (nn.Module): From :func:`init_model`, or any with ``pipeline``.
        sentences (Sequence[str]): N sentences.
        batch_size (int): Sentences at a time. Defaults to 256.
        title (str): Of a progress bar, which is shown where it takes long. Defaults to none.
        pipeline (Sequence[dict], optional): See :func:`encode_videos`.

    Returns:
        Tensor: (N, D) unit vectors, on the CPU.

    Raises:
        ValueError: If it is one sentence instead of a list, or none.
    """
    _refuse_no_list('sentences', sentences)
    steps = reading_steps(model, for_text=True, pipeline=pipeline)
    item = steps(dict(captions=list(sentences)))
    inputs = model.data_preprocessor(pseudo_collate([item]))['inputs']
    return embed_by_length(lambda tokens: model.encode_text(tokens).cpu(), inputs['tokens'],
                           getattr(model.data_preprocessor, 'pad_token', 0), batch_size, title)


embed_videos, embed_texts = encode_videos, encode_texts  # their names before
