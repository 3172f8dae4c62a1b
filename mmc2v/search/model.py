"""The model of an index: where it comes from, and how it is told from others.

D width of vectors.
"""
import os
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any, Optional

import numpy as np
import torch
from mmaction.registry import MODELS, TRANSFORMS
from mmengine.config import Config
from mmengine.registry import WEIGHT_INITIALIZERS
from torch import nn

from mmc2v.apis import encode_texts, init_model, usable_device, use_bf16_weights
from mmc2v.config_reading import plain, read_config
from mmc2v.models.digest import digest_of_weights
from mmc2v.registered_types import dicts_in, first_unknown, known_types

from .encoder import ClipEncoder
from .fastest import hasten
from .settings import DEFAULT_CONFIG, require_precision


class SearchModel:
    """A model with what has to be known to build it again.

    Args:
        description (Mapping[str, Any]): From :func:`describe`, or settings of an index.
        device (str, optional): Where it runs. Defaults to a GPU if there is one.

    Attributes:
        model (nn.Module): In evaluation mode.
        pipeline (list[dict]): That it is tested with.
        weights (str): Digest of its parameters.
        width (int): D.

    Raises:
        ValueError: If the model cannot be built or its weights not be found.
    """

    def __init__(self, description: Mapping[str, Any], device: Optional[str] = None) -> None:
        self.description = dict(description)
        device = usable_device(device)
        self.pipeline: list[dict] = self.description['pipeline']
        model = self._built()
        self.weights = digest_of_weights(model)
        if self.description['precision'] == 'bfloat16':
            use_bf16_weights(model)
        self.model = model.to(device).eval()
        self.width = self.encode_text('a').shape[0]

    def _built(self) -> nn.Module:
        """Return the model in float32 on the CPU."""
        config = Config(dict(model=self.description['model'], default_scope='mmaction',
                             test_dataloader=dict(dataset=dict(pipeline=self.pipeline))))
        checkpoint = self.description['checkpoint']
        if checkpoint is not None and not os.path.isfile(checkpoint):
            raise FileNotFoundError(f"the checkpoint '{checkpoint}' is not there; give the same "
                                    'one by --checkpoint')
        with redirect_stdout(StringIO()):  # MMEngine prints what it loads
            return init_model(config, checkpoint)

    def hasten(self, bytes_to_read: int) -> str:
        """Let the fastest program of this machine encode frames from here on.

        Args:
            bytes_to_read (int): Of videos.

        Returns:
            str: What was found, for people; empty where nothing was tried.
        """
        from mmc2v.export.describing import image_size  # and what makes graphs, when it is needed
        return hasten(self.model, self._built, image_size(self.model, self.pipeline),
                      self.description['precision'], bytes_to_read)

    def encode_text(self, sentence: str) -> np.ndarray:
        """Return the (D,) float32 unit vector of a sentence."""
        return self.encode_texts([sentence])[0]

    def encode_texts(self, sentences: Sequence[str]) -> np.ndarray:
        """Return (N, D) float32 unit vectors of sentences, which go through the tower together."""
        return encode_texts(self.model, sentences, pipeline=self.pipeline).float().numpy()

    def encode_frames(self, frames: np.ndarray, num_frames: int) -> np.ndarray:
        """Return the (D,) float32 unit vector of a whole video.

        Args:
            frames (np.ndarray): (t, H, W, 3) uint8; see :meth:`ClipFrames.whole`.
            num_frames (int): That the model takes.
        """
        return encode_frames(self.model, frames, num_frames)


def encode_frames(model: Any, frames: np.ndarray, num_frames: int) -> np.ndarray:
    """Return the (D,) float32 unit vector of a whole video by any model.

    Args:
        model (nn.Module | ExportedModel): The model.
        frames (np.ndarray): (t, H, W, 3) uint8; see :meth:`ClipFrames.whole`.
        num_frames (int): That the model takes.
    """
    encoder = ClipEncoder(model, [np.arange(len(frames))], num_frames)
    encoder.add(range(len(frames)), frames)
    return encoder.finish()[0].astype(np.float32)


def describe(config: Optional[str] = None, checkpoint: Optional[str] = None,
             precision: Optional[str] = None, options: Sequence[str] = ()) -> dict[str, Any]:
    """Describe a model in a form that an index can keep.

    Args:
        config (str, optional): Its config. Defaults to zero-shot CLIP.
        checkpoint (str, optional): Its checkpoint. Defaults to the weights of the config.
        precision (str, optional): Of towers and neck, one of ``PRECISIONS``. Defaults to bfloat16
            on CPUs with instructions for it, otherwise float32.
        options (Sequence[str]): As after ``--cfg-options``.

    Returns:
        dict[str, Any]: ``name``, ``model``, ``pipeline``, ``checkpoint``, ``precision``.

    Raises:
        FileNotFoundError: If there is no such config.
        ValueError: If it is none of a model that searches.
    """
    require_precision(precision)
    path = config or DEFAULT_CONFIG
    whole = read_config(path, options, needs=['model', 'test_dataloader'])
    name = Path(path.split('::')[-1]).stem
    if checkpoint:
        name += f' with {Path(checkpoint).name}'
    pipeline = whole.test_dataloader.dataset.get('pipeline')
    if not pipeline:
        raise ValueError(f"the config '{path}' has no test_dataloader.dataset.pipeline")
    return dict(name=name, model=plain(whole.model), pipeline=plain(pipeline),
                checkpoint=checkpoint and os.path.abspath(checkpoint),
                precision=precision or default_precision())


def default_precision() -> str:
    """Return bfloat16 on CPUs that multiply matrices of it, otherwise float32."""
    if torch.cuda.is_available():
        return 'float32'
    try:
        flags = Path('/proc/cpuinfo').read_text()
    except OSError:
        return 'float32'
    return 'bfloat16' if 'avx512_bf16' in flags or 'amx_bf16' in flags else 'float32'


def refuse_unregistered(description: Mapping[str, Any]) -> None:
    """Refuse what an index from a stranger could name beside models and transforms.

    MMEngine would import and call anything that has a name with a dot in it.

    Args:
        description (Mapping[str, Any]): Settings of an index.

    Raises:
        ValueError: With the name.
    """
    for module in ('mmaction.models', 'mmaction.datasets', 'mmc2v.models', 'mmc2v.datasets'):
        import_module(module)
    known = known_types(MODELS) | known_types(TRANSFORMS) | known_types(WEIGHT_INITIALIZERS)
    parts = [description.get('model'), description.get('pipeline')]
    unknown = first_unknown(parts, known)
    if unknown is not None:
        raise ValueError(f"the index asks for '{unknown}', which is none of the models and "
                         'transforms that are registered; give the config that it was made with')
    for part in dicts_in(parts):
        # MMEngine would also connect to what it takes for an address
        if 'Pretrained' in str(part.get('type')) and not os.path.isfile(
                str(part.get('checkpoint'))):
            raise ValueError(f"the index asks for weights from '{part.get('checkpoint')}', "
                             'which is no file; give the config that it was made with')


def describe_default() -> str:
    """Say what the model that is taken by default cannot see."""
    return ('no --config was given: this is zero-shot CLIP. It sees what is in frames, and not '
            'their order;\nleft from right, opening from closing takes the config and checkpoint '
            'of a trained model')
