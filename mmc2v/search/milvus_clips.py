"""Scores of the clips of an index in Milvus; see :class:`~mmc2v.search.clips.IndexedClips`.

D width of vectors.
"""
from functools import cached_property
from typing import Optional

import numpy as np

from .clips import IndexedVideo, Scored, Wanted, refuse_no_numbers
from .milvus import MilvusStore, is_in
from .names import FolderNames
from .records import paths_by_content

# Clips that are scored exactly; clips by which the spread of scores is estimated.
_CANDIDATES, _SAMPLE = 500, 4096
# Videos of a folder that a question can name; of larger ones more candidates are looked at.
_NAMED, _MOST_CANDIDATES = 1000, 8192


class MilvusClips:
    """Asks Milvus for candidates, and scores them exactly.

    Args:
        store (MilvusStore): The index.

    Attributes:
        names (FolderNames): Of the folders that are indexed.
    """

    def __init__(self, store: MilvusStore) -> None:
        self._store = store
        self.names = FolderNames(store.roots)

    @cached_property
    def _sample(self) -> np.ndarray:
        return self._store.sample(_SAMPLE)

    @cached_property
    def _folders(self) -> dict[str, list[str]]:
        """Paths of each content; for questions about folders alone."""
        return paths_by_content(self._store.files())

    def scored(self, vector: np.ndarray, wanted: Wanted) -> Scored:
        """Score the clips that are likely the best for a question.

        Args:
            vector (np.ndarray): (D,) float32 unit vector.
            wanted (Wanted): Which clips answer it.

        Raises:
            UnusableIndexError: If some vectors are no numbers.
            OSError: If the server cannot be reached.
        """
        condition, count, allowed = self._condition(wanted)
        hits = self._store.nearest(vector, condition, count) if condition else []
        paths = self._store.videos(sorted({hit['digest'] for hit in hits}))
        hits = sorted((hit for hit in hits if hit['digest'] in paths and (
            allowed is None or hit['digest'] in allowed)),
            key=lambda hit: (hit['digest'], hit['number']))
        digests = sorted({hit['digest'] for hit in hits})
        number_of = {digest: number for number, digest in enumerate(digests)}
        vectors = np.array([hit['vector'] for hit in hits], np.float32).reshape(-1, len(vector))
        scores, sample = vectors @ vector, self._sample @ vector
        refuse_no_numbers(self._store, scores, sample)
        durations = {hit['digest']: hit['duration'] for hit in hits}
        return Scored(
            scores, np.array([number_of[hit['digest']] for hit in hits], np.int64),
            np.array([hit['number'] for hit in hits], np.int64),
            np.array([(hit['start'], hit['end']) for hit in hits]).reshape(-1, 2),
            {number: IndexedVideo(paths[digest], durations[digest], bytes.fromhex(digest))
             for digest, number in number_of.items()}, sample)

    def _condition(self, wanted: Wanted) -> tuple[str, int, Optional[set[str]]]:
        """Return a filter, how many clips to ask for, and contents that the filter cannot name."""
        parts, count, allowed = ['number >= 0'], _CANDIDATES, None
        if not wanted.whole:
            parts.append('whole == false')
        if wanted.min_length > 0:
            parts.append(f'duration >= {float(wanted.min_length)!r}')
        if wanted.max_length < np.inf:
            parts.append(f'duration <= {float(wanted.max_length)!r}')
        if wanted.without is not None:
            start, end = (float(np.clip(second, -1e9, 1e9)) for second in wanted.span)
            parts.append(f'not (digest == "{wanted.without.hex()}" and start < {end!r} '
                         f'and end > {start!r})')
        if wanted.folder:
            some = Wanted(folder=wanted.folder)
            allowed = {digest for digest, paths in self._folders.items()
                       if some.has(IndexedVideo(paths, 0.0, b''), self.names)}
            if not allowed:
                return '', 0, allowed
            if len(allowed) <= _NAMED:
                parts.append(is_in('digest', sorted(allowed)))
            else:
                count = _MOST_CANDIDATES
        return ' and '.join(parts), count, allowed

    def vector_of(self, digest: bytes, number: int) -> Optional[np.ndarray]:
        """Return the (D,) float32 vector of a clip, or None where it is not there.

        Args:
            digest (bytes): Of the content.
            number (int): Which of its clips.
        """
        return self._store.vector(digest.hex(), number)
