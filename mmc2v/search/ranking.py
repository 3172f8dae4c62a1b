"""From the scores of clips to moments of videos.

N clips.
"""
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Optional

import numpy as np


@dataclass(frozen=True)
class Moment:
    """A part of a video that was found.

    Attributes:
        start (float): Seconds.
        end (float): Seconds.
        score (float): Inner product of unit vectors, in [-1, 1].
        stands_out (float): How many standard deviations of this query's scores it lies above their
            mean. No threshold tells right from wrong for every query.
    """

    start: float
    end: float
    score: float
    stands_out: float


@dataclass(frozen=True)
class Found:
    """Moments of one video, the best first.

    Attributes:
        video (int): Which one.
        moments (list[Moment]): At least one.
    """

    video: int
    moments: list[Moment]


def rank_moments(scores: np.ndarray, videos: np.ndarray, spans: np.ndarray, top: int = 10,
                 per_video: int = 3, sample: Optional[np.ndarray] = None) -> list[Found]:
    """Choose the best moments, and group them by video.

    Clips that overlap with a better one of their video show the same moment and are left out.

    Args:
        scores (np.ndarray): (N,) of clips.
        videos (np.ndarray): (N,) number of each clip's video, ascending.
        spans (np.ndarray): (N, 2) start and end in seconds.
        top (int): Videos to return at most. Defaults to 10.
        per_video (int): Moments of a video at most. Defaults to 3.
        sample (np.ndarray, optional): (S,) scores by which it is told how far a moment stands out.
            Defaults to all.

    Returns:
        list[Found]: Ordered by the best moment of each. Of equal scores the earlier clip wins.
    """
    if len(scores) == 0:
        return []
    moment = _moments(scores, spans, sample)
    chosen: dict[int, None] = {}
    for clip in _descending(scores):
        chosen[int(videos[clip])] = None
        if len(chosen) == top:
            break

    def moments_of(video: int) -> list[Moment]:
        first, last = np.searchsorted(videos, (video, video + 1))
        moments: list[Moment] = []
        for clip in first + np.argsort(-scores[first:last], kind='stable'):
            new = moment(clip)
            if _is_apart(new, moments):
                moments.append(new)
            if len(moments) == per_video:
                break
        return moments

    return [Found(video, moments_of(video)) for video in chosen]


def rank_clips(scores: np.ndarray, videos: np.ndarray, spans: np.ndarray, top: int,
               per_video: Optional[int] = None, sample: Optional[np.ndarray] = None,
               ) -> list[tuple[int, Moment]]:
    """Choose the best moments of all videos together, as a list of single moments shows them.

    Of clips of a video that overlap, the best one stands.

    Args:
        scores (np.ndarray): (N,) of clips.
        videos (np.ndarray): (N,) number of each clip's video, ascending.
        spans (np.ndarray): (N, 2) start and end in seconds.
        top (int): Moments at most.
        per_video (int, optional): Moments of a video at most. Defaults to no limit.
        sample (np.ndarray, optional): See :func:`rank_moments`.

    Returns:
        list[tuple[int, Moment]]: Number of the clip and its moment, the best first.
    """
    if len(scores) == 0:
        return []
    moment = _moments(scores, spans, sample)
    taken: dict[int, list[Moment]] = {}
    unfinished = len(np.unique(videos))
    found: list[tuple[int, Moment]] = []
    for clip in _descending(scores):
        others, new = taken.setdefault(int(videos[clip]), []), moment(clip)
        if len(others) == per_video or not _is_apart(new, others):
            continue
        others.append(new)
        found.append((clip, new))
        unfinished -= len(others) == per_video
        if len(found) == top or not unfinished:
            break
    return found


def _moments(scores: np.ndarray, spans: np.ndarray, sample: Optional[np.ndarray]
             ) -> Callable[[int], Moment]:
    """Return what makes the moment of a clip; see :func:`rank_moments`."""
    sample = scores if sample is None else sample
    mean, deviation = float(sample.mean()), float(sample.std())

    def moment(clip: int) -> Moment:
        (start, end), score = spans[clip].tolist(), float(scores[clip])
        return Moment(start, end, score, (score - mean) / deviation if deviation > 0 else 0.0)
    return moment


def _is_apart(new: Moment, others: Sequence[Moment]) -> bool:
    """Whether a moment overlaps none of others."""
    return all(new.end <= other.start or other.end <= new.start for other in others)


def _descending(scores: np.ndarray, first: int = 2048) -> Iterator[int]:
    """Yield clips from the best on; few are looked at, so the rest is sorted only if it is."""
    if len(scores) > first:
        best = np.argpartition(-scores, first)[:first]
        least = scores[best].min()
        # all that equal the least belong to the rest, whose order then does not depend on chance
        best = np.sort(best[scores[best] > least])
        yield from best[np.argsort(-scores[best], kind='stable')].tolist()
        rest = np.flatnonzero(scores <= least)
    else:
        rest = np.arange(len(scores))
    yield from rest[np.argsort(-scores[rest], kind='stable')].tolist()
