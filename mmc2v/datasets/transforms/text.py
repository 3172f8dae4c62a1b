"""Tokenizing by open_clip."""
from typing import Optional

import open_clip
from mmcv.transforms import BaseTransform

from mmc2v.registry import TRANSFORMS


@TRANSFORMS.register_module()
class Tokenize(BaseTransform):
    """Turns captions into token ids: start, at most ``max_words - 2`` words, end, zeros.

    A longer caption is cut and keeps its end token.

    Required keys: captions (list of n str). Added keys: tokens ((n, max_words) int64).

    Args:
        max_words (int): Tokens a caption, start and end included. Defaults to 32.
        arch (str, optional): open_clip architecture whose tokenizer it is. Defaults to CLIP's BPE.
    """

    def __init__(self, max_words: int = 32, arch: Optional[str] = None) -> None:
        if max_words < 3:
            raise ValueError(f'max_words={max_words} leaves no room between start and end token')
        self.max_words = max_words
        self.arch = arch
        self.tokenizer = (open_clip.get_tokenizer(arch) if arch
                          else open_clip.tokenizer.SimpleTokenizer())

    def transform(self, results: dict) -> dict:
        """Tokenize all captions of one video."""
        results['tokens'] = self.tokenizer(results['captions'], context_length=self.max_words)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(max_words={self.max_words}, arch={self.arch!r})'
