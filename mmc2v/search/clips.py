"""All clips of an index, as search needs them.

N clips, D width of their vectors.
"""
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Union

import numpy as np

from .nearest import Vectors
from .store import IndexStore

# Clips by which the spread of scores is estimated where not all are scored.
_SAMPLE = 2048


class IndexedVideo(NamedTuple):
    """One content: its names, seconds and digest."""

    paths: list[str]
    duration: float
    digest: bytes


class StoredVectors:
    """Vectors that stay in the index; those that are asked for are read.

    Args:
        store (IndexStore): The index.
        videos (np.ndarray): (N,) number of the content of each.
        width (int): D.
    """

    def __init__(self, store: IndexStore, videos: np.ndarray, width: int) -> None:
        self._store, self._videos, self.width = store, videos, width

    def __len__(self) -> int:
        return len(self._videos)

    def rows(self, numbers: np.ndarray) -> np.ndarray:
        """Return (n, D) float32 vectors of some rows."""
        found = np.empty((len(numbers), self.width), np.float32)
        videos = self._videos[numbers]
        clips = numbers - np.searchsorted(self._videos, videos)
        for place, (video, clip) in enumerate(zip(videos.tolist(), clips.tolist())):
            found[place] = self._store.vector(video, clip, self.width)
        return found


@dataclass(frozen=True)
class IndexedClips:
    """All clips of an index.

    Attributes:
        vectors (Vectors | StoredVectors): N of them.
        videos (np.ndarray): (N,) number of the content that each is of, ascending.
        spans (np.ndarray): (N, 2) start and end of each in seconds.
        whole (np.ndarray): (N,) whether it is a whole video beside its own clips.
        contents (dict[int, IndexedVideo]): What is known of each content.
        sample (np.ndarray): (S, D) vectors that stand for all.
    """

    vectors: Union[Vectors, StoredVectors]
    videos: np.ndarray
    spans: np.ndarray
    whole: np.ndarray
    contents: dict[int, IndexedVideo]
    sample: np.ndarray

    @classmethod
    def read(cls, store: IndexStore, in_memory: bool) -> 'IndexedClips':
        """Read them.

        Args:
            store (IndexStore): The index, as it is at one moment: see :meth:`IndexStore.reading`.
            in_memory (bool): Read the vectors, too.
        """
        names: dict[int, list[str]] = {}
        for path, record in sorted(store.files().items()):
            if record.content is not None:
                names.setdefault(record.content, []).append(path)
        found = [outline for outline in store.outlines()
                 if outline.number in names and len(outline.spans)]
        contents = {outline.number: IndexedVideo(names[outline.number], outline.duration,
                                                 outline.digest) for outline in found}
        counts = np.array([len(outline.spans) for outline in found], np.int64)
        videos = np.repeat(np.array([*contents], np.int64), counts)
        whole = np.zeros(len(videos), bool)
        whole[np.cumsum(counts) - 1] = counts > 1
        width = store.width
        vectors = (Vectors(len(videos), width, _parts(store, contents, width))
                   if in_memory else StoredVectors(store, videos, width))
        some = np.linspace(0, max(0, len(videos) - 1), min(len(videos), _SAMPLE), dtype=np.int64)
        spans = np.concatenate([np.zeros((0, 2)), *(outline.spans for outline in found)])
        return cls(vectors, videos, spans, whole, contents, vectors.rows(some))


def _parts(store: IndexStore, contents: Mapping[int, IndexedVideo],
           width: int) -> Iterator[np.ndarray]:
    """Yield the vectors of some contents."""
    for number, content in store.contents():
        if number in contents:
            if content.vectors.shape[1] != width:
                raise store.damaged(f'content {number} has vectors of '
                                    f'{content.vectors.shape[1]} numbers and not {width}')
            yield content.vectors
