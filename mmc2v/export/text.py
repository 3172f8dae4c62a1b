"""Sentences to token ids without torch, by a tokenizer of the package ``tokenizers``.

N sentences, L tokens.
"""
from __future__ import annotations

import html
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

# What CLIP calls words; a digit is one by itself. Its own pattern takes small letters for capital
# ones, by which a long s is an s.
_WORDS = r"'[s\x{017F}]|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
_END_OF_WORD = '</w>'


def write_clip_tokenizer(tokenizer: Any, path: Path) -> None:
    """Write CLIP's byte pair encoding in the format of ``tokenizers``.

    Args:
        tokenizer (open_clip.SimpleTokenizer): It.
        path (Path): File to write.

    Raises:
        ValueError: If it prepares sentences otherwise than CLIP does.
    """
    if getattr(tokenizer.clean_fn, '__name__', '') != '_clean_lower' or tokenizer.reduction_fn:
        raise ValueError('only the tokenizer of CLIP can be exported, which lowers letters and '
                         'cuts long sentences at their end')
    merges = sorted(tokenizer.bpe_ranks, key=tokenizer.bpe_ranks.get)
    special = [tokenizer.decoder[number] for number in tokenizer.all_special_ids]
    document = dict(
        version='1.0', truncation=None, padding=None, normalizer=None,
        added_tokens=[dict(id=tokenizer.encoder[token], content=token, single_word=False,
                           lstrip=False, rstrip=False, normalized=False, special=True)
                      for token in special],
        pre_tokenizer=dict(type='Sequence', pretokenizers=[
            dict(type='Split', pattern=dict(Regex=_WORDS), behavior='Removed', invert=True),
            dict(type='ByteLevel', add_prefix_space=False, trim_offsets=False, use_regex=False)]),
        post_processor=None, decoder=None,
        model=dict(type='BPE', dropout=None, unk_token=None, continuing_subword_prefix='',
                   end_of_word_suffix=_END_OF_WORD, fuse_unk=False, byte_fallback=False,
                   ignore_merges=False, vocab=tokenizer.encoder,
                   merges=[list(pair) for pair in merges]))
    path.write_text(json.dumps(document, ensure_ascii=False), encoding='utf-8')


class TextReader:
    """Turns sentences into token ids, as the model's own tokenizer does.

    Args:
        path (Path): File of the tokenizer.
        start (int): Id before the words.
        end (int): Id after them.
        length (int): L at most, start and end included; what is longer is cut.

    Raises:
        ImportError: If a package is missing.
        ValueError: If the file is no tokenizer.
    """

    def __init__(self, path: Path, start: int, end: int, length: int) -> None:
        try:
            import ftfy
            from tokenizers import Tokenizer
        except ImportError as error:
            raise ImportError(f'an exported model needs {error.name} to read sentences: '
                              "pip install 'mmc2v[onnx]'") from None
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # of no class of its own
            raise ValueError(f"'{path}' is no tokenizer: {error}; export the model again"
                             ) from None
        self._mend, self._start, self._end, self._length = ftfy.fix_text, start, end, length

    def read(self, sentences: Sequence[str]) -> np.ndarray:
        """Return (N, L) int64 ids, zeros after the end, L of the longest."""
        rows = []
        for sentence in sentences:
            words = self._tokenizer.encode(self._clean(sentence), add_special_tokens=False).ids
            rows.append([self._start, *words[:self._length - 2], self._end])
        ids = np.zeros((len(rows), max(map(len, rows), default=0)), np.int64)
        for row, found in zip(ids, rows):
            row[:len(found)] = found
        return ids

    def _clean(self, sentence: str) -> str:
        """Mend the encoding, read entities of HTML, and lower letters, as CLIP does."""
        text = html.unescape(html.unescape(self._mend(sentence)))
        return ' '.join(text.split()).lower()
