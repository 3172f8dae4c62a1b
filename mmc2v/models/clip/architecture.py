"""What is known of open_clip's architectures without building them."""
import copy
from typing import NamedTuple, Optional, Union

import open_clip
from open_clip.pretrained import get_pretrained_cfg
from open_clip.transform import PreprocessCfg, merge_preprocess_dict

# Keys of open_clip's configs that say nothing about the two towers.
_OTHER_KEYS = ('custom_text', 'init_logit_scale', 'init_logit_bias')


class TextConvention(NamedTuple):
    """How a tokenizer lays out a caption.

    Attributes:
        has_start (bool): Whether a start token comes before the words.
        end_token (int, optional): Id of the token after the words; None where there is none.
        pad_token (int): Id that fills up.
    """

    has_start: bool
    end_token: Optional[int]
    pad_token: int


def clip_config(arch: Union[str, dict]) -> dict:
    """Return the architecture of a two-tower model.

    Args:
        arch (str | dict): A name that open_clip knows, such as 'ViT-B-32-quickgelu', or a dict
            with ``embed_dim``, ``vision_cfg``, ``text_cfg`` and optionally ``quick_gelu`` in
            open_clip's format.

    Returns:
        dict: Those keys, a copy.

    Raises:
        ValueError: If open_clip does not know the name, keys are missing or unknown, or the text
            tower is not open_clip's own.
    """
    config = open_clip.get_model_config(arch) if isinstance(arch, str) else copy.deepcopy(
        dict(arch))
    if config is None:
        raise ValueError(f"open_clip does not know the architecture '{arch}'; "
                         'open_clip.list_models() lists the names')
    if 'multimodal_cfg' in config or config.get('text_cfg', {}).get('embed_cls'):
        raise ValueError(f"'{arch}' is a CoCa: its class token stands after padding, and a decoder "
                         'joins its towers; use a model of two towers')
    if 'hf_model_name' in config.get('text_cfg', {}):
        raise ValueError(f"the text tower of '{arch}' is a model of transformers, whose "
                         "definition is downloaded; use a model with open_clip's own text tower")
    for key in _OTHER_KEYS:
        config.pop(key, None)
    needed, optional = {'embed_dim', 'vision_cfg', 'text_cfg'}, {'quick_gelu'}
    if needed - set(config) or set(config) - needed - optional:
        raise ValueError(f'arch={arch} must have the keys {sorted(needed)} and may have '
                         f'{sorted(optional)}, got {sorted(config)}')
    if 'timm_model_name' in config['vision_cfg']:
        config['vision_cfg']['timm_model_pretrained'] = False  # building needs no network
    return config


def is_plain_clip(config: dict) -> bool:
    """Whether the image tower is open_clip's own vision transformer, as OpenAI's."""
    vision = config['vision_cfg']
    return 'timm_model_name' not in vision and not isinstance(
        vision.get('layers', 12), (list, tuple))


def text_convention(config: dict) -> TextConvention:
    """Return how captions of an architecture are laid out.

    Args:
        config (dict): See :func:`clip_config`.

    Raises:
        ValueError: If its tokenizer is not known.
    """
    text = config['text_cfg']
    tokenizer = text.get('hf_tokenizer_name', '')
    if not tokenizer:
        return TextConvention(True, text.get('vocab_size', 49408) - 1, 0)
    if 'siglip' in tokenizer.lower():
        return TextConvention(False, 1, 0 if 'siglip2' in tokenizer.lower() else 1)
    known = {'bert-base-uncased': TextConvention(True, None, 0),  # CLIPA takes the end token out
             'facebook/xlm-v-base': TextConvention(True, 2, 1),
             'google/mt5-base': TextConvention(False, 1, 0)}
    if tokenizer not in known:
        raise ValueError(f"the tokenizer '{tokenizer}' is not known here: give "
                         'convention=(has_start, end_token, pad_token) to the text tower')
    return known[tokenizer]


def clip_preprocessing(arch: str, tag: str) -> PreprocessCfg:
    """Return how images are prepared for weights of open_clip.

    Args:
        arch (str): A name that open_clip knows.
        tag (str): Name of its weights, such as 'openai'.

    Returns:
        PreprocessCfg: open_clip's: ``size`` in pixels, ``mean`` and ``std`` of images in [0, 1],
        ``interpolation``, and ``resize_mode``, 'shortest' where the rest is cut off.

    Raises:
        ValueError: If there are no such weights.
    """
    source = get_pretrained_cfg(arch, tag)
    if not source:
        raise ValueError(f"open_clip has no weights '{tag}' of {arch}, only "
                         f'{open_clip.list_pretrained_tags_by_model(arch)}')
    size = open_clip.get_model_config(arch)['vision_cfg'].get('image_size', 224)
    return PreprocessCfg(**merge_preprocess_dict(PreprocessCfg(size), source))
