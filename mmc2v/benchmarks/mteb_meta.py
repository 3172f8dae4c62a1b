"""What results of MTEB say of a model: what is measured of it, and what its user states."""
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Optional, Union

from mteb.models.model_meta import ModelMeta, ScoringFunction
from pydantic import ValidationError
from torch import nn

from mmc2v.apis import encode_texts, reading_steps
from mmc2v.config_reading import plain
from mmc2v.export.model import ExportedModel
from mmc2v.first_line import first_line_of
from mmc2v.models.digest import digest_of_weights
from mmc2v.registered_types import did_you_mean

Model = Union[nn.Module, ExportedModel]
# What no model knows of itself, and whether it is wanted where results are submitted.
STATED = dict(release_date=True, languages=True, license=True, open_weights=True, reference=True,
              training_datasets=True, public_training_code=False, public_training_data=False,
              adapted_from=False, citation=False, contacts=False)
_LISTS = ('languages', 'training_datasets', 'contacts')
_FRAMEWORKS = dict(onnxruntime='ONNX', openvino='OpenVINO', torch='PyTorch')


def describe(model: Model, name: str, revision: Optional[str], bf16: bool,
             stated: Mapping[str, Any], loader: type) -> ModelMeta:
    """Describe a model.

    Args:
        model (nn.Module | ExportedModel): From :func:`~mmc2v.apis.init_model`.
        name (str): As 'organization/name'.
        revision (str, optional): Defaults to :func:`digest`.
        bf16 (bool): Whether its towers are in bfloat16: results are kept apart then.
        stated (Mapping[str, Any]): Keys of :data:`STATED`; lists may be texts with commas.
        loader (type): What makes such a model for MTEB.

    Raises:
        ValueError: If something else is stated, or of a form that MTEB does not take.
    """
    facts: dict[str, Any] = dict.fromkeys(STATED)
    for key, value in stated.items():
        if key not in STATED:
            raise ValueError(f"'{key}' is none of what may be stated of a model: "
                             f"{', '.join(STATED)}{did_you_mean(key, STATED)}")
        facts[key] = value.split(',') if key in _LISTS and isinstance(value, str) else value
    words = reading_steps(model, for_text=True)(dict(captions=['a']))['inputs']['tokens'].shape[1]
    try:
        return ModelMeta(
            loader=loader, name=name, revision=revision or digest(model), max_tokens=words,
            embed_dim=encode_texts(model, ['a']).shape[1], modalities=['video', 'text'],
            similarity_fn_name=ScoringFunction.COSINE, use_instructions=False,
            experiment_kwargs=dict(precision='bfloat16') if bf16 else None,
            **_size(model), **facts)
    except ValidationError as error:
        first = error.errors()[0]
        where = '.'.join(str(part) for part in first['loc'])
        raise ValueError(f"MTEB does not take {where}={first['input']!r}: "
                         f"{first_line_of(first['msg'])}") from error


def not_stated(meta: ModelMeta) -> list[str]:
    """Return what is wanted where results are submitted, and unknown of this model."""
    return [key for key, is_wanted in STATED.items() if is_wanted and getattr(meta, key) is None]


def digest(model: Model) -> str:
    """Return a digest of weights, model and test pipeline, so of all that vectors depend on.

    MTEB takes a result of the same name and revision for done.
    """
    is_exported = isinstance(model, ExportedModel)
    weights = model.towers.description['weights'] if is_exported else digest_of_weights(model)
    parts = {key: value for key, value in plain(model.cfg.model).items() if key != 'pretrained'}
    pipeline = plain(model.cfg.test_dataloader.dataset.pipeline)
    text = json.dumps([weights, parts, pipeline], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _size(model: Model) -> dict[str, Any]:
    """Return numbers of parameters, memory in MiB, and what runs the model."""
    if isinstance(model, ExportedModel):  # its files do not say
        return dict(framework=[_FRAMEWORKS[model.towers.backend]], n_parameters=None,
                    n_embedding_parameters=None, memory_usage_mb=None)
    parameters = list(model.parameters())
    words = [part.weight for part in model.text_backbone.modules()
             if isinstance(part, nn.Embedding)]
    return dict(framework=['PyTorch'], n_parameters=sum(each.numel() for each in parameters),
                n_embedding_parameters=sum(each.numel() for each in words),
                memory_usage_mb=round(sum(each.nbytes for each in parameters) / 2 ** 20, 1))
