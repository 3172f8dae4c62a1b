"""Whether a checkpoint is of the model that it is to be loaded into."""
import os
from collections.abc import Mapping

from torch import Tensor, nn

from mmc2v.checkpoint_reading import read_checkpoint_file


def refuse_unfitting(path: str, model: nn.Module, is_exact: bool) -> None:
    """Compare a local checkpoint with a model, of both only names and shapes.

    MMEngine would load what fits and train the rest from where it is.

    Args:
        path (str): Checkpoint; an address, or what does not exist, is left to its reader.
        model (nn.Module): Not wrapped.
        is_exact (bool): Whether all must fit, as for resuming; else something must.

    Raises:
        ValueError: If it does not fit.
    """
    path = os.path.expanduser(path)
    if not os.path.isfile(path):
        return
    content = read_checkpoint_file(path, map_location='cpu', mmap=True)
    found = _shapes(content.get('state_dict', content) if isinstance(content, Mapping) else {})
    wanted = _shapes(model.state_dict())
    if not any(found.get(name) == shape for name, shape in wanted.items()):
        raise ValueError(
            f"nothing of '{path}' fits {type(model).__name__}: it has {list(found)[:3]}, wanted "
            f'are {list(wanted)[:3]}. Give a checkpoint of this model; weights of CLIP are given '
            'as model.pretrained')
    differences = _differences(found, wanted)
    if is_exact and differences:
        raise ValueError(
            f"cannot resume from '{path}', which is of another model than the config's: "
            f'{"; ".join(differences)}. Resume with the config that it was trained with, or start '
            'anew from it by load_from, in another work dir')


def _shapes(state: Mapping) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a state's tensors, by names as MMEngine loads them."""
    return {str(name).removeprefix('module.'): tuple(value.shape)
            for name, value in state.items() if isinstance(value, Tensor)}


def _differences(found: dict[str, tuple], wanted: dict[str, tuple]) -> list[str]:
    """Say in which parameters two states differ."""
    missing = [name for name in wanted
               if name not in found and not name.endswith('num_batches_tracked')]
    surplus = [name for name in found if name not in wanted]
    shapes = [f'{name} is {found[name]} instead of {shape}' for name, shape in wanted.items()
              if name in found and found[name] != shape]
    return [f'{len(names)} {title}: {", ".join(names[:3])}' + (', ...' if names[3:] else '')
            for title, names in (('missing', missing), ('too many', surplus),
                                 ('of another shape', shapes)) if names]
