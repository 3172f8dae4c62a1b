"""Retrieval ranks from embeddings, without the matrix of all scores.

N captions, M videos, G groups (usually one a video), D width.
"""
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple, Optional

import numpy as np

from mmc2v.progress import progress

from .positive_pairs import PositivePairs, Rescore, Scores

_BLOCK_BYTES = 2 ** 23  # memory for a block of scores


class Ranks(NamedTuple):
    """Ranks from 1 of every query of one direction, under both ways to treat ties.

    Attributes:
        lost (np.ndarray): (Q,) candidates that tie with the right one are ahead of it: ours.
        won (np.ndarray): (Q,) they are behind it.
    """

    lost: np.ndarray
    won: np.ndarray


def retrieval_ranks(text: np.ndarray, video: np.ndarray, text_group: Sequence[int],
                    video_group: Sequence[int], *, undecodable: Optional[np.ndarray] = None,
                    rescore: Optional[Rescore] = None, caption_ranks: bool = False,
                    block_bytes: int = _BLOCK_BYTES) -> dict[str, Ranks]:
    """Rank in both directions in one pass over blocks of scores.

    Text to video: 1 + the number of videos of other groups that score at least as high as the
    best video of the caption's own group. Video to text: 1 + the number of other groups whose
    best caption scores at least as high as the best caption of the video's own group. Items with
    equal embeddings score equally, whatever the rounding of the product.

    Args:
        text (np.ndarray): (N, D) float embeddings.
        video (np.ndarray): (M, D) float embeddings.
        text_group (Sequence[int]): (N,) group of each caption, 0 .. G-1.
        video_group (Sequence[int]): (M,) group of each video; each group has a video and a caption.
        undecodable (np.ndarray, optional): (M,) bool; such videos are never found and find
            nothing: their rank is the last. Defaults to none.
        rescore (Callable, optional): Turns scores into what is ranked. Defaults to nothing.
        caption_ranks (bool): Also rank a video's best caption among all captions of other groups,
            the field's other convention for video to text. Defaults to False.
        block_bytes (int): Memory for a block of scores; a block holds whole groups. Defaults to
            8 MiB.

    Returns:
        dict[str, Ranks]: 't2v' (N,), 'v2t' (M,), and 'v2t_all_captions' (M,) where asked for.

    Raises:
        ValueError: If an embedding is not finite, or a group lacks videos or captions.
    """
    text, video = np.asarray(text), np.asarray(video)
    text_group, video_group = np.asarray(text_group), np.asarray(video_group)
    _check(text, video, text_group, video_group)
    hidden = np.zeros(len(video), dtype=bool) if undecodable is None else undecodable
    order = np.argsort(text_group, kind='stable')
    score = Scores(text, video, order, hidden, rescore)
    text_group = text_group[order]
    positives = PositivePairs(score, text_group, video_group)
    t2v, v2t, among_captions = (np.zeros((2, count), dtype=np.int64)
                                for count in (len(text), len(video), len(video)))
    # Counting what is ahead needs no sorting, and one block of scores serves both directions:
    # tools/analysis_tools/benchmark_ranks.py sets it beside the bare product.
    blocks = _blocks(text_group, len(video) * text.itemsize, block_bytes)
    for start, stop in progress(blocks, 'ranking', 'block'):
        block = score.block(start, stop)
        positives.take_out(block, start)
        positives.level_equal_videos(block, start)
        t2v[:, order[start:stop]] = _count_ahead(
            block, positives.best_of_text[start:stop, None], axis=1)
        positives.level_equal_texts(block, start)
        if caption_ranks:
            among_captions += _count_ahead(block, positives.best_of_video, axis=0)
        best_of_group = _group_maxima(block, text_group[start:stop])
        v2t += _count_ahead(best_of_group, positives.best_of_video, axis=0)

    num_groups = len(np.unique(text_group))
    t2v[:, order[positives.best_of_text == -np.inf]] = len(video) - 1
    for counts, last in ((v2t, num_groups - 1), (among_captions, len(text) - 1)):
        counts[:, hidden] = last
    result = {'t2v': Ranks(*(t2v + 1)), 'v2t': Ranks(*(v2t + 1))}
    if caption_ranks:
        result['v2t_all_captions'] = Ranks(*(among_captions + 1))
    return result


def _count_ahead(scores: np.ndarray, best: np.ndarray, axis: int) -> np.ndarray:
    """Return (2, Q): how many scores are at least the best of the positives, and how many above."""
    return np.stack([np.count_nonzero(scores >= best, axis=axis),
                     np.count_nonzero(scores > best, axis=axis)])


def refuse_not_finite(kind: str, embeddings: np.ndarray, names: Sequence) -> None:
    """Refuse NaN and infinity, which would otherwise become ranks.

    Args:
        kind (str): What is embedded, for the message.
        embeddings (np.ndarray): (N, D).
        names (Sequence): (N,) what to call them.

    Raises:
        ValueError: With the first name.
    """
    suspicious = np.flatnonzero(~np.isfinite(embeddings.sum(axis=1)))  # no (N, D) copy
    wrong = suspicious[~np.isfinite(embeddings[suspicious]).all(axis=1)]
    if len(wrong):
        raise ValueError(f'the embeddings of {len(wrong)} {kind}s are NaN or infinite, the first '
                         f'is {kind} {names[wrong[0]]}; the model has diverged')


def score_blocks(text: np.ndarray, video: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the scores of (N, D) captions with (M, D) videos, (n, M) at a time, in their order."""
    step = max(1, _BLOCK_BYTES // (len(video) * text.itemsize))
    for start in progress(range(0, len(text), step), 'scoring', 'block'):
        yield text[start:start + step] @ video.T


def _check(text: np.ndarray, video: np.ndarray, text_group: np.ndarray,
           video_group: np.ndarray) -> None:
    refuse_not_finite('caption', text, range(len(text)))
    refuse_not_finite('video', video, range(len(video)))
    alone = np.setxor1d(text_group, video_group)
    if len(alone):
        raise ValueError(f'groups {alone[:5].tolist()} lack a video or a caption')


def _group_maxima(block: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return the (G', M) maxima of groups of sorted rows; reduceat takes three times as long."""
    edges = [0, *(np.flatnonzero(np.diff(groups)) + 1).tolist(), len(groups)]
    maxima = np.empty((len(edges) - 1, block.shape[1]), dtype=block.dtype)
    for number, (first, last) in enumerate(pairwise(edges)):
        block[first:last].max(axis=0, out=maxima[number])
    return maxima


def _blocks(groups: np.ndarray, row_bytes: int, block_bytes: int) -> list[tuple[int, int]]:
    """Cut sorted groups into spans of whole groups that fit into memory."""
    ends = np.append(np.flatnonzero(np.diff(groups)) + 1, len(groups))
    spans, start = [], 0
    while start < len(groups):
        first = np.searchsorted(ends, start, side='right')
        fitting = np.searchsorted(ends, start + block_bytes // row_bytes, side='right')
        stop = int(ends[max(first, fitting - 1)])
        spans.append((start, stop))
        start = stop
    return spans


def summarize(ranks: np.ndarray) -> dict[str, float]:
    """Summarize ranks as the field does.

    Args:
        ranks (np.ndarray): (N,) from 1.

    Returns:
        dict[str, float]: R1, R5, R10 in percent, median MdR (the mean of the two middle ranks
        where N is even) and mean MnR.
    """
    recalls = {f'R{k}': float(100 * np.mean(ranks <= k)) for k in (1, 5, 10)}
    return dict(recalls, MdR=float(np.median(ranks)), MnR=float(np.mean(ranks)))
