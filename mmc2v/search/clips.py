"""All clips of an index, as search needs them, and their scores.

N clips, D width of their vectors.
"""
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Optional

import numpy as np

from .approximate import ApproximateIndex
from .names import FolderNames
from .nearest import Vectors
from .records import Store, paths_by_content
from .store import IndexStore

# Clips by which the spread of scores is estimated where not all are scored.
_SAMPLE = 2048
# Clips that pass a filter up to which all are scored although search is approximate.
_FEW = 20_000
_KEPT_FILTERS = 8


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
        clips (np.ndarray): (N,) which of the clips of its content.
        width (int): D.
    """

    def __init__(self, store: IndexStore, videos: np.ndarray, clips: np.ndarray,
                 width: int) -> None:
        self._store, self._videos, self._clips, self.width = store, videos, clips, width

    def __len__(self) -> int:
        return len(self._videos)

    def rows(self, numbers: np.ndarray) -> np.ndarray:
        """Return (n, D) float32 vectors of some rows."""
        found = np.empty((len(numbers), self.width), np.float32)
        for place, (video, clip) in enumerate(zip(self._videos[numbers].tolist(),
                                                  self._clips[numbers].tolist())):
            found[place] = self._store.vector(video, clip, self.width)
        return found


@dataclass(frozen=True)
class Wanted:
    """Which clips answer a question.

    Attributes:
        whole (bool): Whole videos do, too, beside their own clips.
        without (bytes, optional): Digest of a video that does not, or
        span (tuple[float, float]): not where its clips overlap these seconds.
        folder (str): Name of a folder in which a file of the video has to lie; '' for any. See
            :class:`~mmc2v.search.names.FolderNames`.
        min_length (float): Seconds of the video at least.
        max_length (float): Seconds of the video at most.
    """

    whole: bool = False
    without: Optional[bytes] = None
    span: tuple[float, float] = (-np.inf, np.inf)
    folder: str = ''
    min_length: float = 0.0
    max_length: float = np.inf

    def has(self, video: IndexedVideo, names: FolderNames) -> bool:
        """Whether clips of a video are wanted, as far as folder and length go."""
        return self.min_length <= video.duration <= self.max_length and (
            not self.folder or any(f'{names.of(path)}/'.startswith(f'{self.folder}/')
                                   for path in video.paths))


class Scored(NamedTuple):
    """Clips that answer a question, or those of them that are likely among the best.

    Attributes:
        scores (np.ndarray): (n,) float32.
        videos (np.ndarray): (n,) number of the video that each is of, ascending.
        numbers (np.ndarray): (n,) which of the clips of its video.
        spans (np.ndarray): (n, 2) start and end in seconds.
        contents (Mapping[int, IndexedVideo]): What is known of each video.
        sample (np.ndarray): (S,) scores of clips that stand for all.
    """

    scores: np.ndarray
    videos: np.ndarray
    numbers: np.ndarray
    spans: np.ndarray
    contents: Mapping[int, IndexedVideo]
    sample: np.ndarray


class IndexedClips:
    """All clips of an index that is a file.

    Args:
        store (IndexStore): The index, as it is at one moment: see :meth:`IndexStore.reading`.
        in_memory (bool): Read the vectors, too.
        candidates (ApproximateIndex, optional): Where search is approximate.

    Attributes:
        vectors (Vectors | StoredVectors): N of them.
        videos (np.ndarray): (N,) number of the content that each is of, ascending.
        numbers (np.ndarray): (N,) which of the clips of its content.
        spans (np.ndarray): (N, 2) start and end of each in seconds.
        whole (np.ndarray): (N,) whether it is a whole video beside its own clips.
        contents (dict[int, IndexedVideo]): What is known of each content.
        sample (np.ndarray): (S, D) vectors that stand for all.
        names (FolderNames): Of the folders that are indexed.
    """

    def __init__(self, store: IndexStore, in_memory: bool,
                 candidates: Optional[ApproximateIndex] = None) -> None:
        paths = paths_by_content(store.files())
        found = [outline for outline in store.outlines()
                 if outline.number in paths and len(outline.spans)]
        self.contents = {outline.number: IndexedVideo(paths[outline.number], outline.duration,
                                                      outline.digest) for outline in found}
        counts = np.array([len(outline.spans) for outline in found], np.int64)
        self.videos = np.repeat(np.array([*self.contents], np.int64), counts)
        ends = np.cumsum(counts)
        self.numbers = (np.arange(len(self.videos)) - np.repeat(ends - counts, counts)
                        ).astype(np.int32)
        self.whole = np.zeros(len(self.videos), bool)
        self.whole[ends - 1] = counts > 1
        self.spans = np.concatenate([np.zeros((0, 2)), *(outline.spans for outline in found)])
        count, width = len(self.videos), store.width
        self.vectors = (Vectors(count, width, _parts(store, self.contents, width))
                        if in_memory else StoredVectors(store, self.videos, self.numbers, width))
        self.names = FolderNames(store.roots)
        self._candidates, self._store = candidates, store
        self.sample = self.vectors.rows(np.linspace(0, max(0, count - 1), min(count, _SAMPLE),
                                                     dtype=np.int64))
        self._by_digest: Optional[dict[bytes, int]] = None
        self._filters: OrderedDict[tuple, np.ndarray] = OrderedDict()

    def scored(self, vector: np.ndarray, wanted: Wanted) -> Scored:
        """Score clips for a question.

        Args:
            vector (np.ndarray): (D,) float32 unit vector.
            wanted (Wanted): Which of them answer it.

        Raises:
            UnusableIndexError: If some vectors are no numbers.
        """
        keep = self._matching(wanted)
        if self._candidates is None:
            scores = self.vectors.scores(vector)
            rows, sample = np.flatnonzero(keep), scores[~self.whole]
            scores = scores[rows]
        else:
            rows = np.flatnonzero(keep)
            if len(rows) > _FEW:
                rows = self._candidates.candidates(vector)
                rows = rows[keep[rows]]
            scores, sample = self.vectors.rows(rows) @ vector, self.sample @ vector
        refuse_no_numbers(self._store, scores, sample)
        return Scored(scores, self.videos[rows], self.numbers[rows], self.spans[rows],
                      self.contents, sample)

    def vector_of(self, digest: bytes, number: int) -> Optional[np.ndarray]:
        """Return the (D,) float32 vector of a clip, or None where it is not there.

        Args:
            digest (bytes): Of the content.
            number (int): Which of its clips.
        """
        first, last = self._rows_of(digest)
        return self.vectors.rows(np.array([first + number]))[0] if number < last - first else None

    def _rows_of(self, digest: bytes) -> tuple[int, int]:
        """Return the first clip of a content, and the first one after it."""
        if self._by_digest is None:
            self._by_digest = {video.digest: key for key, video in self.contents.items()}
        key = self._by_digest.get(digest)
        if key is None:
            return 0, 0
        first, last = np.searchsorted(self.videos, (key, key + 1)).tolist()
        return first, last

    def _matching(self, wanted: Wanted) -> np.ndarray:
        """Return (N,) which clips are wanted."""
        keep = self._filtered(wanted)
        if not wanted.whole:
            keep = keep & ~self.whole
        if wanted.without is not None:
            first, last = self._rows_of(wanted.without)
            starts, ends = self.spans[first:last].T
            keep = keep.copy()
            keep[first:last] &= (ends <= wanted.span[0]) | (wanted.span[1] <= starts)
        return keep

    def _filtered(self, wanted: Wanted) -> np.ndarray:
        """Return (N,) which clips are of videos of the folder and the length."""
        key = wanted.folder, wanted.min_length, wanted.max_length
        if key not in self._filters:
            self._filters[key] = np.isin(self.videos, [
                number for number, video in self.contents.items()
                if wanted.has(video, self.names)])
            while len(self._filters) > _KEPT_FILTERS:
                self._filters.popitem(last=False)
        self._filters.move_to_end(key)
        return self._filters[key]


def refuse_no_numbers(store: Store, *scores: np.ndarray) -> None:
    """Refuse scores of vectors that are damaged.

    Raises:
        UnusableIndexError: If some are no numbers.
    """
    if not all(np.isfinite(some).all() for some in scores):
        raise store.damaged('some vectors are no numbers')


def _parts(store: IndexStore, contents: Mapping[int, IndexedVideo],
           width: int) -> Iterator[np.ndarray]:
    """Yield the vectors of some contents."""
    for number, content in store.contents():
        if number in contents:
            if content.vectors.shape[1] != width:
                raise store.damaged(f'content {number} has vectors of '
                                    f'{content.vectors.shape[1]} numbers and not {width}')
            yield content.vectors
