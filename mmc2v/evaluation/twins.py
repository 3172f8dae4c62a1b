"""Whether a model tells pairs of twins apart: by Vinoground's scores, among all, and by likeness.

n pairs of a kind, P phrasings, R drawings. Caption a of a pair is right for its video a, a = 0, 1.
"""
from typing import NamedTuple, Optional

import numpy as np

from .ranks import refuse_not_finite, retrieval_ranks


class Figure(NamedTuple):
    """A figure in percent.

    Attributes:
        value (float): NaN where there is nothing that it could be measured on.
        error (float): Its standard error over pairs; NaN where there are fewer than two.
    """

    value: float
    error: float


def level_twins(scores: np.ndarray, tolerance: float, axis: int) -> np.ndarray:
    """Make scores of two twins equal where they differ by rounding alone.

    Args:
        scores (np.ndarray): Of which one axis has length 2: the twins.
        tolerance (float): The most by which they may differ.
        axis (int): That axis.

    Returns:
        np.ndarray: A copy, in which what was nearly equal ties.
    """
    one, other = np.moveaxis(scores, axis, 0)
    return np.stack([one, np.where(abs(one - other) <= tolerance, one, other)], axis=axis)


def twin_figures(scores: np.ndarray, likeness: Optional[np.ndarray] = None) -> dict[str, Figure]:
    """Measure one kind of pairs.

    A tie is no success for 'text', 'video' and 'group', as in Vinoground, and half of one among
    all videos of the kind, as in the ablation.

    Args:
        scores (np.ndarray): (n, 2, P, n, 2, R) of each caption with each video of the kind.
        likeness (np.ndarray, optional): (n, 2, 2), of video a in one drawing with video b in
            another. Defaults to none, and then there is no 'ap'.

    Returns:
        dict[str, Figure]: 'text', 'video', 'group' and 'tied', see :func:`pair_shares`; 't2v' and
        'v2t', see :func:`told_apart`; 'ap', see :func:`likeness_precision`.

    Raises:
        ValueError: If a score is not finite.
    """
    refuse_not_finite('caption', scores.reshape(-1, scores[0, 0, 0].size),
                      range(scores[:, :, :, 0, 0, 0].size))
    figures = {name: mean_over_pairs(shares) for name, shares in pair_shares(scores).items()}
    figures.update({name: told_apart(scores, name) for name in ('t2v', 'v2t')})
    if likeness is not None:
        figures['ap'] = likeness_precision(likeness)
    return figures


def pair_shares(scores: np.ndarray) -> dict[str, np.ndarray]:
    """Return the three scores of Vinoground (arXiv 2410.02763) for each pair, and how much ties.

    'text': for both videos the right caption scores higher than the other. 'video': for both
    captions the right video does. 'group': both. 'tied': share of captions that score both videos
    equally.

    Args:
        scores (np.ndarray): (n, 2, P, n, 2, R), see :func:`twin_figures`.

    Returns:
        dict[str, np.ndarray]: (n,) in [0, 1], means over phrasings and drawings.
    """
    own = np.arange(len(scores))
    (right_0, of_0_for_1), (of_1_for_0, right_1) = np.moveaxis(
        scores[own, :, :, own], (1, 3), (0, 1))  # (2 captions, 2 videos, n, P, R)
    text = (right_0 > of_1_for_0) & (right_1 > of_0_for_1)
    video = (right_0 > of_0_for_1) & (right_1 > of_1_for_0)
    tied = ((right_0 == of_0_for_1) + (right_1 == of_1_for_0).astype(float)) / 2
    return {name: share.mean(axis=(1, 2))
            for name, share in dict(text=text, video=video, group=text & video, tied=tied).items()}


def mean_over_pairs(shares: np.ndarray) -> Figure:
    """Return the mean of (n,) shares in percent, and its standard error.

    That is the root of sum((x - mean)^2) / (n (n - 1)). Where every x is 0 or 1 it is the binomial
    error, root of p (1 - p) / (n - 1); what was measured several times on a pair counts once.
    """
    count = len(shares)
    error = shares.std(ddof=1) / count ** 0.5 if count > 1 else np.nan
    return Figure(100 * float(shares.mean()), 100 * float(error))


def told_apart(scores: np.ndarray, direction: str) -> Figure:
    """Return R@1 in percent of pair R@1, in which either twin counts, as the ablation has it.

    Queries look among all videos, or captions, of the kind; ties count half in R@1 and as losses in
    pair R@1. The standard error is that of a ratio of sums over pairs, a_i queries that found the
    right one and b_i that found the pair: root of n / (n - 1) sum((a_i - p b_i)^2), over sum(b_i).

    Args:
        scores (np.ndarray): (n, 2, P, n, 2, R), see :func:`twin_figures`.
        direction (str): 't2v' or 'v2t'.
    """
    count, _, phrasings, *_ = scores.shape
    videos = np.arange(2 * count)
    found, found_pair = np.zeros(count), np.zeros(count)
    for drawing in np.moveaxis(scores, -1, 0):
        # products with unit vectors are the scores themselves
        sides = drawing.reshape(-1, 2 * count), np.eye(2 * count), videos.repeat(phrasings), videos
        ranks = retrieval_ranks(*sides)[direction]
        of_pairs = retrieval_ranks(*sides[:2], sides[2] // 2, sides[3] // 2)[direction]
        right = ((ranks.lost == 1) + (ranks.won == 1).astype(float)) / 2
        found += right.reshape(count, -1).sum(axis=1)
        found_pair += (of_pairs.lost == 1).reshape(count, -1).sum(axis=1)
    total = found_pair.sum()
    if not total:
        return Figure(np.nan, np.nan)
    share = found.sum() / total
    squares = ((found - share * found_pair) ** 2).sum()
    error = (count / (count - 1) * squares) ** 0.5 / total if count > 1 else np.nan
    return Figure(100 * float(share), 100 * float(error))


def likeness_precision(likeness: np.ndarray) -> Figure:
    """Return the average precision of 'both videos show the same', as MTEB classifies pairs.

    Two drawings of one description are alike, a drawing and another of the twin are not; the 4 n
    likenesses are ranked together. The standard error is the jackknife's over pairs of twins.

    Args:
        likeness (np.ndarray): (n, 2, 2), see :func:`twin_figures`.
    """
    count = len(likeness)
    value = average_precision(likeness)
    if count < 2:
        return Figure(100 * value, np.nan)
    without = np.array([average_precision(np.delete(likeness, pair, axis=0))
                        for pair in range(count)])
    error = ((count - 1) / count * ((without - without.mean()) ** 2).sum()) ** 0.5
    return Figure(100 * value, 100 * float(error))


def average_precision(likeness: np.ndarray) -> float:
    """Return the precision at each threshold, weighted by the recall that it adds, in [0, 1].

    Equal likenesses share a threshold, so that no order of them decides.

    Args:
        likeness (np.ndarray): (n, 2, 2); those on the diagonals are right.
    """
    values, level = np.unique(-likeness, return_inverse=True)
    right = np.broadcast_to(np.eye(2), likeness.shape).ravel()
    added = np.bincount(level.ravel(), weights=right, minlength=len(values))
    seen = np.bincount(level.ravel(), minlength=len(values)).cumsum()
    return float((added * added.cumsum() / seen).sum() / right.sum())
