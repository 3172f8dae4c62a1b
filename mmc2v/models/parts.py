"""How a module gets its parts, as configs or as modules, and its weights."""
import logging
from collections.abc import Callable, Mapping
from typing import Union

from mmengine.logging import print_log
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor, nn

from mmc2v.registry import MODELS

Part = Union[dict, nn.Module]


def build_part(part: Part, **defaults) -> nn.Module:
    """Build a part from its config, or take the module that was passed in."""
    return part if isinstance(part, nn.Module) else MODELS.build(part, default_args=defaults)


def encode_valid(encode: Callable[[Tensor], Tensor], images: Tensor, mask: Tensor) -> Tensor:
    """Encode the valid images alone, (M, ...) -> (M, D); return (*, D), zero at the others.

    Args:
        encode (Callable): The encoder.
        images (Tensor): (*, 3, H, W).
        mask (Tensor): (*,) bool, True = valid.
    """
    valid = encode(images[mask])
    embeddings = valid.new_zeros(*mask.shape, valid.shape[-1])
    embeddings[mask] = valid
    return embeddings


def copy_from_clip(module: nn.Module, clip: Mapping[str, Tensor], prefix: str = '',
                   advice: str = '') -> set[str]:
    """Copy CLIP weights into a module whose names are CLIP's after a prefix.

    Args:
        module (nn.Module): Takes all its parameters from CLIP.
        clip (Mapping[str, Tensor]): CLIP's weights under OpenAI's keys.
        prefix (str): What stands before the module's own names in those keys.
        advice (str): Added to the error: what to do where they do not fit.

    Returns:
        set[str]: The module's names, all of which were set.

    Raises:
        ValueError: If a weight is missing or has another shape.
    """
    own = module.state_dict()
    problems = []
    for name, value in own.items():
        source = clip.get(prefix + name)
        if source is None:
            problems.append(f'{prefix}{name} is missing')
        elif source.shape != value.shape:
            problems.append(f'{prefix}{name} is {tuple(source.shape)}, '
                            f'the model has {tuple(value.shape)}')
    if problems:
        raise ValueError(f'{len(problems)} CLIP weights do not fit {type(module).__name__}: '
                         f'{"; ".join(problems[:3])}. {advice}'.strip())
    module.load_state_dict({name: clip[prefix + name] for name in own})
    return set(own)


def loads_by_init_cfg(module: nn.Module) -> list[str]:
    """Return the names of parts whose ``init_cfg`` names a checkpoint, each with a dot behind."""
    return [f'{prefix}.' for prefix, part in module.named_modules()
            if isinstance(getattr(part, 'init_cfg', None), dict)
            and part.init_cfg.get('type') == 'Pretrained']


def start_from_clip(module: nn.Module, clip: Mapping[str, Tensor]) -> set[str]:
    """Copy CLIP weights into every part that knows how.

    Parts whose ``init_cfg`` names a checkpoint keep what they loaded from it.

    Args:
        module (nn.Module): Its parts have ``init_from_clip``.
        clip (Mapping[str, Tensor]): CLIP's weights under OpenAI's keys.

    Returns:
        set[str]: Names of the module that were set.
    """
    loaded = tuple(loads_by_init_cfg(module))
    return {f'{prefix}.{name}' for prefix, part in module.named_modules()
            if hasattr(part, 'init_from_clip')
            and not f'{prefix}.'.startswith(loaded)
            for name in part.init_from_clip(clip)}


def load_pretrained(module: nn.Module, checkpoint: str, prefix: str = '',
                    map_location: str = 'cpu') -> set[str]:
    """Load what fits of a checkpoint, and say what does not.

    Args:
        module (nn.Module): Takes the weights.
        checkpoint (str): File or address.
        prefix (str): What stands before the module's own names. Defaults to nothing.
        map_location (str): Where to. Defaults to 'cpu'.

    Returns:
        set[str]: Names of the module that were set.

    Raises:
        ValueError: If nothing fits, or the file is damaged or holds more than weights.
    """
    content = CheckpointLoader.load_checkpoint(checkpoint, map_location=map_location)
    state = content.get('state_dict', content)
    state = {key.removeprefix(prefix): value for key, value in state.items()
             if key.startswith(prefix)}
    own = module.state_dict()
    fitting = {key: value for key, value in state.items()
               if key in own and own[key].shape == value.shape}
    if not fitting:
        raise ValueError(
            f"nothing of '{checkpoint}' fits {type(module).__name__}: below prefix='{prefix}' it "
            f'has {list(state)[:3]}, wanted are {list(own)[:3]}. In a recognizer the prefix is '
            "'backbone.'")
    missing = [key for key in own if key not in fitting and 'num_batches_tracked' not in key]
    if missing:
        print_log(f"{len(missing)} of {len(own)} weights of {type(module).__name__} are not in "
                  f"'{checkpoint}' or have another shape there, and stay random: {missing}",
                  logger='current', level=logging.WARNING)
    module.load_state_dict(fitting, strict=False)
    return set(fitting)
