"""How a module gets its parts, as configs or as modules, and its weights from CLIP's."""
from collections.abc import Mapping
from typing import Union

from torch import Tensor, nn

from mmc2v.registry import MODELS

Part = Union[dict, nn.Module]


def build_part(part: Part, **defaults) -> nn.Module:
    """Build a part from its config, or take the module that was passed in."""
    return part if isinstance(part, nn.Module) else MODELS.build(part, default_args=defaults)


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
