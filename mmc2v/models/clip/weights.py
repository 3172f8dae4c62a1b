"""Reads CLIP weights, from a file or through open_clip, without running code; copies them."""
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Union

import open_clip
import torch
from filelock import FileLock
from open_clip.pretrained import download_pretrained, get_pretrained_cfg
from torch import Tensor, nn

from mmc2v.checkpoint_reading import is_archive, read_checkpoint_file
from mmc2v.first_line import first_line_of

from .architecture import clip_config, is_plain_clip
from .torchscript import read_torchscript

# Scalars that OpenAI's archives hold beside the weights.
_OPENAI_SCALARS = ('input_resolution', 'context_length', 'vocab_size')


def read_clip_weights(pretrained: str, arch: Union[str, dict]) -> dict[str, Tensor]:
    """Read the weights of a CLIP model.

    Args:
        pretrained (str): A local file (OpenAI's TorchScript archive, a state dict, or
            safetensors), or a tag that open_clip knows for the architecture, such as 'openai'.
        arch (str | dict): The architecture that they are for, see :func:`clip_config`.

    Returns:
        dict[str, Tensor]: float32 tensors under OpenAI's keys; half precision is widened, which
        is exact.

    Raises:
        FileNotFoundError: If it is neither a file nor a known tag.
        ConnectionError: If the tag's file cannot be downloaded.
        ValueError: If the file cannot be read, or needs QuickGELU where the architecture has GELU
            or the other way round, or is of another architecture.
    """
    if Path(pretrained).is_file():
        state, is_openai = _read_file(Path(pretrained))
        if is_openai:
            _check_activation(pretrained, arch, quick_gelu=True)
    else:
        state, _ = _read_file(_download(pretrained, arch))
    _check_architecture(pretrained, arch, state)
    return state


def _download(tag: str, arch: Union[str, dict]) -> Path:
    """Fetch the file of an open_clip tag, if its weights fit the architecture's activation."""
    tags = open_clip.list_pretrained_tags_by_model(arch) if isinstance(arch, str) else []
    source = get_pretrained_cfg(arch, tag) if tags else {}
    if not source:
        looks_like_path = '/' in tag or '.' in tag
        raise FileNotFoundError(
            f"pretrained='{tag}' is " + (
                'not a file. Correct the path' if looks_like_path else
                f'neither a file nor a tag that open_clip has for {arch}. Tags: {tags}') +
            ", or set pretrained='openai' with a '-quickgelu' architecture to download weights")
    _check_activation(tag, arch, source.get('quick_gelu', False))  # before the download
    # The processes of a node share one cache, and open_clip does not lock it.
    lock = Path(torch.hub.get_dir()) / f'mmc2v_{arch}_{tag}.lock'.replace('/', '_')
    lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock):
        try:
            return Path(download_pretrained(source))
        except Exception as error:  # each of its back ends has errors of its own
            places = [source.get('url'), source.get('hf_hub') and f"the hub's {source['hf_hub']}"]
            raise ConnectionError(
                f"the weights '{tag}' of {arch} could not be downloaded from "
                f'{" or ".join(filter(None, places))}: {type(error).__name__}: {error}. Without '
                'network, fetch that file elsewhere and set model.pretrained to its path: '
                '--cfg-options model.pretrained=/path/to/file') from error


def _read_file(path: Path) -> tuple[dict[str, Tensor], bool]:
    """Return the tensors of a file in float32, and whether it has OpenAI's marks."""
    try:
        if path.suffix == '.safetensors':
            from safetensors.torch import load_file
            state: Mapping = load_file(path)
        elif _is_torchscript(path):
            state = read_torchscript(path)
        else:
            state = read_checkpoint_file(path, map_location='cpu')
    except Exception as error:
        raise ValueError(f'{path} cannot be read as CLIP weights ({type(error).__name__}: '
                         f'{first_line_of(error)}). Expected are a '
                         'TorchScript archive, a state dict or safetensors; fetch it again if it '
                         'is damaged') from error
    if not isinstance(state, Mapping):
        raise ValueError(f'{path} holds a {type(state).__name__}, not CLIP weights')
    state = state.get('state_dict', state)
    # models of custom text towers keep them under 'text.'
    state = {key.removeprefix('module.').removeprefix('text.'): value
             for key, value in state.items()}
    is_openai = all(key in state for key in _OPENAI_SCALARS)
    return {key: value.float() for key, value in state.items()
            if isinstance(value, Tensor) and key not in _OPENAI_SCALARS}, is_openai


def _is_torchscript(path: Path) -> bool:
    if not is_archive(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith('constants.pkl') for name in archive.namelist())


def _check_activation(pretrained: str, arch: Union[str, dict], quick_gelu: bool) -> None:
    """Refuse weights trained with the other of the two activations: nothing else would."""
    if quick_gelu == clip_config(arch).get('quick_gelu', False):
        return
    needed, present = ('QuickGELU', 'GELU') if quick_gelu else ('GELU', 'QuickGELU')
    if isinstance(arch, str):
        right = f'{arch}-quickgelu' if quick_gelu else arch.removesuffix('-quickgelu')
        advice = f"use arch='{right}'"
    else:
        advice = f'set quick_gelu={quick_gelu} in arch'
    raise ValueError(f"the weights '{pretrained}' were trained with {needed}, but arch={arch!r} "
                     f'computes {present}, and would give wrong embeddings silently: {advice}')


def _dimensions(config: Mapping) -> tuple:
    vision = open_clip.CLIPVisionCfg(**config['vision_cfg'])
    text = open_clip.CLIPTextCfg(**config['text_cfg'])
    return (config['embed_dim'], vision.layers, vision.width, vision.patch_size, vision.image_size,
            text.layers, text.width, text.context_length, text.vocab_size)


def _dimensions_of_weights(state: Mapping[str, Tensor]) -> tuple:
    patch = state['visual.conv1.weight'].shape[-1]
    grid = round((len(state['visual.positional_embedding']) - 1) ** 0.5)
    layers = [len({key.split('.resblocks.')[1].split('.')[0] for key in state
                   if key.startswith(f'{tower}transformer.resblocks.')})
              for tower in ('visual.', '')]
    vocabulary, text_width = state['token_embedding.weight'].shape
    return (state['text_projection'].shape[1], layers[0], state['visual.conv1.weight'].shape[0],
            patch, patch * grid, layers[1], text_width, len(state['positional_embedding']),
            vocabulary)


def _check_architecture(pretrained: str, arch: Union[str, dict],
                        state: Mapping[str, Tensor]) -> None:
    """Refuse weights of another architecture, naming the one they are for."""
    if not is_plain_clip(clip_config(arch)):
        return  # the towers name every weight that does not fit
    try:
        found = _dimensions_of_weights(state)
    except (KeyError, ValueError, IndexError) as error:
        raise ValueError(
            f"'{pretrained}' holds no CLIP model with a vision transformer in OpenAI's or "
            f'open_clip\'s key layout: {error} is missing. Its first keys are {list(state)[:3]}; '
            'a checkpoint of ours is given as load_from, not as pretrained') from error
    config = clip_config(arch)
    wanted = _dimensions(config)
    if found == wanted:
        return
    names = ('embed_dim', 'vision layers', 'vision width', 'patch size', 'image size',
             'text layers', 'text width', 'context length', 'vocabulary')
    differing = [f'{name} {a} instead of {b}'
                 for name, a, b in zip(names, found, wanted) if a != b]
    raise ValueError(
        f"'{pretrained}' is of another architecture than arch={arch!r}: " + ', '.join(differing)
        + _suggest(found, config.get('quick_gelu', False)))


def _suggest(dimensions: tuple, quick_gelu: bool) -> str:
    configs = {name: open_clip.get_model_config(name) for name in open_clip.list_models()}
    fitting = [name for name, config in configs.items()
               if is_plain_clip(config) and 'hf_model_name' not in config['text_cfg']
               and config.get('quick_gelu', False) == quick_gelu
               and _dimensions(config) == dimensions]
    return f'. It fits arch={min(fitting, key=len)!r}' if fitting else (
        '. Give the architecture that it was trained with as a dict')


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
    state = module.state_dict()
    problems = []
    for name, value in state.items():
        source = clip.get(prefix + name)
        if source is None:
            problems.append(f'{prefix}{name} is missing')
        elif source.shape != value.shape:
            problems.append(f'{prefix}{name} is {tuple(source.shape)}, '
                            f'the model has {tuple(value.shape)}')
    if problems:
        raise ValueError(f'{len(problems)} CLIP weights do not fit {type(module).__name__}: '
                         f'{"; ".join(problems[:3])}. {advice}'.strip())
    module.load_state_dict({name: clip[prefix + name] for name in state})
    return set(state)
