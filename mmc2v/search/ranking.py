"""From the scores of clips to moments of videos.

N clips.
"""
from dataclasses import dataclass

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
                 per_video: int = 3) -> list[Found]:
    """Choose the best moments, and group them by video.

    Clips that overlap with a better one of their video show the same moment and are left out.

    Args:
        scores (np.ndarray): (N,) of clips.
        videos (np.ndarray): (N,) number of each clip's video.
        spans (np.ndarray): (N, 2) start and end in seconds.
        top (int): Videos to return at most. Defaults to 10.
        per_video (int): Moments of a video at most. Defaults to 3.

    Returns:
        list[Found]: Ordered by the best moment of each. Of equal scores the earlier clip wins.
    """
    if len(scores) == 0:
        return []
    mean, deviation = float(scores.mean()), float(scores.std())
    chosen: dict[int, list[Moment]] = {}
    for clip in _descending(scores):
        video, (start, end) = int(videos[clip]), spans[clip].tolist()
        moments = chosen.get(video)
        if moments is None:
            if len(chosen) == top:
                if all(len(moments) == per_video for moments in chosen.values()):
                    break
                continue
            moments = chosen[video] = []
        if len(moments) < per_video and all(
                end <= other.start or other.end <= start for other in moments):
            score = float(scores[clip])
            stands_out = (score - mean) / deviation if deviation > 0 else 0.0
            moments.append(Moment(start, end, score, stands_out))
    return [Found(video, moments) for video, moments in chosen.items()]


def _descending(scores: np.ndarray, first: int = 2048):
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
