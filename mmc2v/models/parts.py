"""How a module gets its parts, as configs or as modules, and weights of a checkpoint."""
import logging
from typing import Union

from mmengine.logging import print_log
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn

from mmc2v.registry import MODELS

Part = Union[dict, nn.Module]


def build_part(part: Part, **defaults) -> nn.Module:
    """Build a part from its config, or take the module that was passed in."""
    return part if isinstance(part, nn.Module) else MODELS.build(part, default_args=defaults)


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
    wanted = module.state_dict()
    fitting = {key: value for key, value in state.items()
               if key in wanted and wanted[key].shape == value.shape}
    if not fitting:
        raise ValueError(
            f"nothing of '{checkpoint}' fits {type(module).__name__}: below prefix='{prefix}' it "
            f'has {list(state)[:3]}, wanted are {list(wanted)[:3]}. In a recognizer the prefix is '
            "'backbone.'")
    missing = [key for key in wanted if key not in fitting and 'num_batches_tracked' not in key]
    if missing:
        print_log(f"{len(missing)} of {len(wanted)} weights of {type(module).__name__} are not in "
                  f"'{checkpoint}' or have another shape there, and stay random: {missing}",
                  logger='current', level=logging.WARNING)
    module.load_state_dict(fitting, strict=False)
    return set(fitting)
