"""Approximate search: a derived file of FAISS beside the index, which may be lost at any time.

N clips, D width of vectors, Q queries.
"""
import hashlib
import json
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np

from mmc2v.whole_files import open_whole

from .nearest import Vectors

_FORMAT = 2
_TRAINING_ROWS = 40000
_BLOCK = 65536
# Clips that are scored exactly for a query: overlapping ones are merged, so more than are shown.
NUM_CANDIDATES = 1000
# The share of the exact ten best that is asked for, of queries made of the index's own vectors.
_RECALL, _QUERIES, _BEST = 0.98, 128, 10


class ApproximateIndex:
    """Finds clips that are likely among the best.

    Cells of an inverted file (IVF) and one bit for each number of a vector (RaBitQ): a query reads
    few cells, and what it finds is scored exactly by the caller.

    Args:
        index (Any): Of FAISS.
    """

    def __init__(self, index: Any) -> None:
        self._index = index

    def candidates(self, query: np.ndarray, count: int = NUM_CANDIDATES) -> np.ndarray:
        """Return the numbers of clips to score, ascending, int64.

        Args:
            query (np.ndarray): (D,) float32.
            count (int): The most that are returned.
        """
        found = self._index.search(np.ascontiguousarray(query[None], np.float32), count)[1][0]
        return np.sort(found[(found >= 0) & (found < self._index.ntotal)])


def build(path: str, state: str, vectors: Vectors, sentences: np.ndarray) -> dict[str, float]:
    """Make the file anew; it takes its place when it is whole.

    Args:
        path (str): The file.
        state (str): Of the index that the vectors are of.
        vectors (Vectors): (N, D), N at least 1.
        sentences (np.ndarray): (Q, D) vectors of sentences, by which it is tried how many cells a
            query has to read. They lie elsewhere than those of videos, and methods that divide
            space look better than they are for queries that lie where the vectors lie.

    Returns:
        dict[str, float]: ``cells``, ``probes`` (cells that a query reads) and the ``recall`` by
        which the latter were chosen.

    Raises:
        ImportError: If FAISS is not installed.
    """
    import faiss
    rng = np.random.default_rng(0)
    count = len(vectors)
    cells = int(max(1, min(4 * count ** 0.5 / 2, count / 39)))
    index = faiss.index_factory(vectors.width, f'IVF{cells},RaBitQ', faiss.METRIC_INNER_PRODUCT)
    index.train(vectors.rows(np.sort(rng.choice(count, min(count, _TRAINING_ROWS),
                                                replace=False))))
    for start in range(0, count, _BLOCK):
        index.add(vectors.rows(np.arange(start, min(start + _BLOCK, count))))
    moved = vectors.rows(rng.integers(0, count, _QUERIES))
    moved += sentences.mean(axis=0) - moved.mean(axis=0)
    recall = _choose_probes(index, cells, vectors, (moved, sentences))
    found = dict(cells=cells, probes=index.nprobe, recall=recall)
    body = faiss.serialize_index(index).data
    header = dict(found, format=_FORMAT, state=state, clips=count, digest=_digest(body))
    with open_whole(path) as file:
        file.write(json.dumps(header).encode() + b'\n')
        file.write(body)
    return found


def _digest(body: Union[bytes, memoryview]) -> str:
    return hashlib.blake2b(body, digest_size=16).hexdigest()


def _choose_probes(index: Any, cells: int, vectors: Vectors,
                   kinds: Sequence[np.ndarray]) -> float:
    """Set how many cells a query reads, the fewest that find enough; return the least recall."""
    asked = [[(query, vectors.scores(query)) for query in queries] for queries in kinds]
    index.nprobe, recall = 2, 0.0
    while recall < _RECALL and index.nprobe < cells:
        index.nprobe = min(cells, 2 * index.nprobe)
        recall = min(_recall(ApproximateIndex(index), queries) for queries in asked)
    return recall


def _recall(index: ApproximateIndex, queries: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    """Return the share of the best clips that are among candidates, over queries with scores."""
    hits = 0
    for query, scores in queries:
        best = np.argsort(-scores)[:_BEST]
        hits += int(np.isin(best, index.candidates(query)).sum())
    return hits / sum(min(_BEST, len(scores)) for _, scores in queries)


def read(path: str, state: str, clips: int) -> ApproximateIndex:
    """Read the file.

    Args:
        path (str): The file.
        state (str): Of the index as it is now.
        clips (int): N.

    Raises:
        ValueError: If it is of another state, damaged, or FAISS is not installed; the message says
            what to do.
    """
    again = 'make it anew by index --ann'
    try:
        import faiss
    except ImportError:
        raise ValueError("faiss is not installed: pip install 'mmc2v[ann]'") from None
    try:
        with open(path, 'rb') as file:
            header = json.loads(file.readline(1 << 16))
            body = file.read() if header['format'] == _FORMAT else b''
        if (header['state'], header['clips']) != (state, clips):
            raise ValueError(f'{Path(path).name} is of another state of the index; {again}')
        if header['digest'] != _digest(body):  # FAISS notices some damage when it is asked
            raise KeyError('digest')
        index = faiss.deserialize_index(np.frombuffer(body, np.uint8))
        if index.ntotal != clips:
            raise KeyError('clips')
    except (OSError, RuntimeError, KeyError, TypeError, UnicodeDecodeError,
            json.JSONDecodeError) as error:
        raise ValueError(f'{Path(path).name} is damaged; {again}') from error
    faiss.omp_set_num_threads(1)  # for one query its threads would wait for each other
    return ApproximateIndex(index)


def path_of(index: str) -> str:
    """Return the file that belongs to an index."""
    return f'{index}.ann'


def stamp(index: str) -> Optional[tuple[int, int]]:
    """Return what tells whether the file of an index has changed; None where there is none."""
    try:
        found = os.stat(path_of(index))
    except OSError:
        return None
    return (found.st_ino, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None
