"""Where every weight of a model starts.

Constructors draw random values. Over these come, each where it applies:

1. what MMEngine loads or draws by a part's ``init_cfg``, and what a part loads by itself, such as
   :class:`~mmc2v.models.towers.mmaction.MMActionBackbone`, which says so in ``loaded``;
2. CLIP's weights, in every part that has ``init_from_clip``, did not load a checkpoint, and has no
   ``init_from_text`` that is False. The method takes them under OpenAI's keys and returns the names
   of the parameters that it set, without those of parts that do so themselves.
"""
import logging
from collections.abc import Mapping
from typing import Optional, Union

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModule
from mmengine.model.weight_init import PretrainedInit
from open_clip.pretrained import get_pretrained_cfg
from torch import Tensor, nn

from .architecture import clip_config, clip_preprocessing
from .weights import read_clip_weights

Arch = Union[str, dict]


def initialise(model: BaseModule, pretrained: Optional[str] = None) -> list[str]:
    """Set the weights of a model and say where they come from; CLIP's file is read once.

    Args:
        model (BaseModule): It or its children have the ``arch`` that CLIP weights are for.
        pretrained (str, optional): CLIP weights, see
            :func:`~mmc2v.models.clip.weights.read_clip_weights`. Defaults to none.

    Returns:
        list[str]: Names of parameters that are random afterwards.

    Raises:
        ValueError: If the weights do not fit the model, or nothing in it says of what
            architecture they must be.
    """
    if _mmengine_has_work(model):
        BaseModule.init_weights(model)
    checkpointed = _checkpointed(model)
    known = _from_checkpoints(model, checkpointed)
    sources = ['init_cfg'] if known else []
    if pretrained is not None:
        arch = _only_arch(model, pretrained)
        _warn_of_other_preprocessing(model, pretrained, arch)
        clip = read_clip_weights(pretrained, arch)
        _refuse_other_heads(model, arch)
        known |= _from_clip(model, clip, checkpointed)
        sources.insert(0, f"'{pretrained}'")
    random = [name for name, _ in model.named_parameters() if name not in known]
    if sources:
        print_log(f'{type(model).__name__}: {len(known)} parameters start from '
                  f'{" and ".join(sources)}, {len(random)} at random: {random}', logger='current')
    return random


def _mmengine_has_work(model: BaseModule) -> bool:
    """Whether MMEngine would change a weight; where not, it would write a table that says so."""
    parts = {*model.children(), *(part for part in model.modules()
                                  if isinstance(part, BaseModule) and part is not model)}
    plain = BaseModule.init_weights
    return bool(model.init_cfg) or any(
        getattr(part, 'init_cfg', None) or getattr(type(part), 'init_weights', plain) is not plain
        for part in parts)


def _checkpointed(module: nn.Module) -> tuple[str, ...]:
    """Return the names of parts whose ``init_cfg`` names a checkpoint, each with a dot behind."""
    def names_checkpoint(part: nn.Module) -> bool:
        configs = getattr(part, 'init_cfg', None) or []
        return any(config['type'] in ('Pretrained', PretrainedInit)
                   for config in ([configs] if isinstance(configs, dict) else configs))
    return tuple(f'{prefix}.' if prefix else '' for prefix, part in module.named_modules()
                 if names_checkpoint(part))


def _from_checkpoints(model: nn.Module, checkpointed: tuple[str, ...]) -> set[str]:
    """Return the names of parameters that came from a checkpoint."""
    return {name for name, _ in model.named_parameters() if name.startswith(checkpointed)} | {
        f'{prefix}.{name}' for prefix, part in model.named_modules()
        for name in getattr(part, 'loaded', ())}


def _from_clip(model: nn.Module, clip: Mapping[str, Tensor],
               checkpointed: tuple[str, ...]) -> set[str]:
    """Copy CLIP's weights into every other part that knows how; return the names that were set."""
    return {f'{prefix}.{name}' for prefix, part in model.named_modules()
            if hasattr(part, 'init_from_clip') and not f'{prefix}.'.startswith(checkpointed)
            and getattr(part, 'init_from_text', True)
            for name in part.init_from_clip(clip)}


def _only_arch(model: nn.Module, pretrained: str) -> Arch:
    archs = {name or type(model).__name__: part.arch
             for name, part in [('', model), *model.named_children()]
             if getattr(part, 'arch', None) is not None}
    if not archs:
        raise ValueError(f"pretrained='{pretrained}' needs a CLIP tower to load it, or its arch")
    first, *others = archs.values()
    if any(arch != first for arch in others):
        raise ValueError(f"'{pretrained}' holds weights of both towers, which must have one arch; "
                         + ', '.join(f'{name} has {arch}' for name, arch in archs.items()))
    return first


def _refuse_other_heads(model: nn.Module, arch: Arch) -> None:
    """Refuse text blocks of other heads: their weights would fit, and mean something else."""
    heads = clip_config(arch)['text_cfg'].get('heads', 8)
    for part in model.modules():
        if hasattr(part, 'refuse_other_heads'):
            part.refuse_other_heads(heads)


def _warn_of_other_preprocessing(model: nn.Module, pretrained: str, arch: Arch) -> None:
    """Warn where images are normalised otherwise than weights of open_clip were trained."""
    preprocessor = getattr(model, 'data_preprocessor', None)
    mean = getattr(preprocessor, 'mean', None)
    sees_images = hasattr(getattr(model, 'backbone', None), 'arch')
    if not isinstance(arch, str) or mean is None or not sees_images \
            or not get_pretrained_cfg(arch, pretrained):
        return
    weights = clip_preprocessing(arch, pretrained)
    wanted = [[255 * value for value in values] for values in (weights.mean, weights.std)]
    found = [buffer.flatten().tolist() for buffer in (mean, preprocessor.std)]
    if not torch.allclose(torch.tensor(found), torch.tensor(wanted), atol=0.01):
        print_log(f"the weights '{pretrained}' of {arch} were trained on images of mean "
                  f'{wanted[0]} and std {wanted[1]}, but data_preprocessor has {found[0]} and '
                  f'{found[1]}', logger='current', level=logging.WARNING)
