"""Whether an index is whole."""
import os
from collections.abc import Iterator
from typing import Any, Union

import numpy as np

from .milvus import MilvusStore
from .records import Content, UnusableIndexError
from .scan import stat_of
from .settings import check_settings
from .store import IndexStore

# By how much the length of a vector in half precision may miss 1.
_TOLERANCE = 5e-3


def problems_of(store: Union[IndexStore, MilvusStore]) -> list[str]:
    """Look at every row, and at every file that the index names.

    Args:
        store (IndexStore | MilvusStore): The index.

    Returns:
        list[str]: What is wrong, and what to do; empty where all is well.
    """
    fault = store.fault()
    if fault:
        return [f'the file is damaged: {fault}. Make the index anew with --rebuild']
    found: list[str] = []
    try:
        settings = store.settings
        if settings:
            check_settings(settings, store)
        numbers = set()
        for number, content in store.contents():
            numbers.add(number)
            wrong = _problem(content, settings.get('width'))
            if wrong:
                found.append(f'content {number}: {wrong}. Make the index anew with --rebuild')
        found += _of_files(store, numbers)
    except UnusableIndexError as error:
        found.append(str(error))
    return found


def _of_files(store: Any, numbers: set[Any]) -> Iterator[str]:
    """Yield what is wrong with the files of an index, and with contents of none."""
    named, lost = set(), set(store.lost())
    for path, record in store.files().items():
        named.add(record.content)
        if record.content is None and record.reason is None:
            yield f'{path!r} has neither content nor reason. Index it again'
        elif record.content in lost:
            yield f'{path!r} has clips that the server has lost. Run index again to read it anew'
        elif record.content is not None and record.content not in numbers:
            yield f'{path!r} has a content that is not there. Make the index anew with --rebuild'
        yield from _of_disk(path, record.stat, record.reason)
    for number in sorted(numbers - named):
        yield f'content {number} is of no file. Make the index anew with --rebuild'


def _problem(content: Content, width: int) -> str:
    """Return what is wrong with the rows of one content, or nothing."""
    if content.vectors.shape[1] != width:
        return f'its vectors have {content.vectors.shape[1]} numbers and not {width}'
    lengths = np.linalg.norm(content.vectors.astype(np.float32), axis=1)
    if not np.allclose(lengths, 1, atol=_TOLERANCE):  # nor NaN
        return f'a vector has the length {lengths[np.abs(lengths - 1).argmax()]:.3f} and not 1'
    starts, ends = content.spans.T
    if not ((starts >= 0) & (starts <= ends) & (ends <= content.duration + 1e-6)).all():
        return f'a clip lies outside the video of {content.duration:.1f} s'
    return ''


def _of_disk(path: str, stat: tuple, reason: str | None) -> list[str]:
    """Compare a file with what the index knows of it."""
    try:
        now = stat_of(path)
    except OSError:
        if os.path.lexists(path):
            return [f'{path!r} can no longer be reached. Run index again when it can']
        return [f'{path!r} is no longer there. Run index again to forget it']
    if reason is None and now != stat:
        return [f'{path!r} has changed. Run index again to read it anew']
    return []
