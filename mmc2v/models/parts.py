"""How a module gets its parts: as configs or as modules."""
from typing import Union

from torch import nn

from mmc2v.registry import MODELS

Part = Union[dict, nn.Module]


def build_part(part: Part, **defaults) -> nn.Module:
    """Build a part from its config, or take the module that was passed in."""
    return part if isinstance(part, nn.Module) else MODELS.build(part, default_args=defaults)
