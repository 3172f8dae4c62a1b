"""Tokenizing by open_clip."""
import functools
import importlib.util
from collections.abc import Callable
from typing import Optional

import open_clip
from mmcv.transforms import BaseTransform

from mmc2v.registry import TRANSFORMS


@functools.cache
def _clip_tokenizer() -> Callable:
    return open_clip.SimpleTokenizer()  # open_clip.tokenize would not decode, as pictures do


def _tokenizer_of(arch: str, folder: Optional[str] = None) -> Callable:
    """Build the tokenizer of an architecture; see :class:`Tokenize` for what is raised."""
    config = open_clip.get_model_config(arch)
    if config is None:
        raise ValueError(f"open_clip does not know the architecture '{arch}', so neither its "
                         'tokenizer; open_clip.list_models() lists the names')
    text = config['text_cfg']
    name = text.get('hf_tokenizer_name', '')
    if not name:
        return _clip_tokenizer()
    if importlib.util.find_spec('transformers') is None:
        raise ImportError(f"the tokenizer of {arch} is '{name}' of transformers, which is not "
                          "installed: pip install 'mmc2v[transformers]'")
    try:
        if folder is not None:
            return open_clip.tokenizer.HFTokenizer(
                folder, context_length=text.get('context_length', 77),
                **text.get('tokenizer_kwargs', {}))
        return open_clip.get_tokenizer(arch)
    except OSError as error:
        raise ConnectionError(
            f"the tokenizer '{folder or name}' of {arch} cannot be loaded: {error}. Without "
            'network, fetch its files elsewhere and set tokenizer_dir to their folder') from error


@TRANSFORMS.register_module()
class Tokenize(BaseTransform):
    """Turns captions into token ids: start, at most ``max_words - 2`` words, end, zeros.

    A longer caption is cut and keeps its end token.

    Required keys: captions (list of n str). Added keys: tokens ((n, max_words) int64).

    Args:
        max_words (int): Tokens a caption, start and end included. Defaults to 32.
        arch (str, optional): open_clip architecture whose tokenizer it is. Defaults to CLIP's BPE.
        tokenizer_dir (str, optional): Folder with the files of a tokenizer of transformers, where
            the architecture has such a one (SigLIP, CLIPA) and there is no network to fetch it.

    Raises:
        ValueError: If fewer than 3 tokens are asked for, or the architecture is unknown.
        ImportError: If the tokenizer is one of transformers, which is not installed.
        ConnectionError: If it cannot be fetched.
    """

    def __init__(self, max_words: int = 32, arch: Optional[str] = None,
                 tokenizer_dir: Optional[str] = None) -> None:
        if max_words < 3:
            raise ValueError(f'max_words={max_words} leaves no room between start and end token')
        self.max_words = max_words
        self.arch = arch
        self.tokenizer = _tokenizer_of(arch, tokenizer_dir) if arch else _clip_tokenizer()

    def transform(self, results: dict) -> dict:
        """Tokenize all captions of one video."""
        results['tokens'] = self.tokenizer(results['captions'], context_length=self.max_words)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(max_words={self.max_words}, arch={self.arch!r})'
