"""Retrieval ranks from embeddings, without the matrix of all scores.

N captions, M videos, G groups (usually one a video), D width.
"""
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Ranks(NamedTuple):
    """Ranks from 1; ties count against the model.

    Attributes:
        t2v (np.ndarray): (N,) rank of each caption's video among videos.
        v2t (np.ndarray): (M,) rank of each video's captions among groups of captions.
    """

    t2v: np.ndarray
    v2t: np.ndarray


def retrieval_ranks(text: np.ndarray, video: np.ndarray, text_group: Sequence[int],
                    video_group: Sequence[int], block_bytes: int = 2 ** 25) -> Ranks:
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
        block_bytes (int): Memory for a block of scores; a block holds whole groups. Defaults to
            32 MiB.

    Returns:
        Ranks: (N,) and (M,).

    Raises:
        ValueError: If an embedding is not finite, or a group lacks videos or captions.
    """
    text, video = np.asarray(text), np.asarray(video)
    text_group, video_group = np.asarray(text_group), np.asarray(video_group)
    _check(text, video, text_group, video_group)
    order = np.argsort(text_group, kind='stable')
    text, text_group = np.ascontiguousarray(text[order]), text_group[order]
    pairs = _own_pairs(text_group, video_group)
    scores = _pair_scores(text, video, pairs)
    best_of_text, best_of_video = (np.full(count, -np.inf, dtype=scores.dtype)
                                   for count in (len(text), len(video)))
    np.maximum.at(best_of_text, pairs[0], scores)
    np.maximum.at(best_of_video, pairs[1], scores)
    same_videos = _equal_rows(video, pairs[1], pairs[0], scores == best_of_text[pairs[0]])
    same_texts = _equal_rows(text, pairs[0], pairs[1], scores == best_of_video[pairs[1]])

    t2v, v2t = np.ones(len(text), dtype=np.int64), np.ones(len(video), dtype=np.int64)
    for start, stop in _blocks(text_group, len(video) * text.itemsize, block_bytes):
        block = text[start:stop] @ video.T
        own = slice(*np.searchsorted(pairs[0], (start, stop)))
        block[pairs[0][own] - start, pairs[1][own]] = -np.inf
        for column, rows in same_videos.items():
            rows = rows[(rows >= start) & (rows < stop) & (text_group[rows] != video_group[column])]
            block[rows - start, column] = best_of_text[rows]
        t2v[start:stop] += (block >= best_of_text[start:stop, None]).sum(axis=1)
        for row, columns in same_texts.items():
            if start <= row < stop:
                columns = columns[video_group[columns] != text_group[row]]
                block[row - start, columns] = best_of_video[columns]
        firsts = np.flatnonzero(np.diff(text_group[start:stop], prepend=-1))
        v2t += (np.maximum.reduceat(block, firsts, axis=0) >= best_of_video).sum(axis=0)
    ranks = np.empty_like(t2v)
    ranks[order] = t2v
    return Ranks(ranks, v2t)


def refuse_not_finite(kind: str, embeddings: np.ndarray, names: Sequence) -> None:
    """Refuse NaN and infinity, which would otherwise become ranks.

    Args:
        kind (str): What is embedded, for the message.
        embeddings (np.ndarray): (N, D).
        names (Sequence): (N,) what to call them.

    Raises:
        ValueError: With the first name.
    """
    wrong = np.flatnonzero(~np.isfinite(embeddings).all(axis=1))
    if len(wrong):
        raise ValueError(f'the embeddings of {len(wrong)} {kind}s are NaN or infinite, the first '
                         f'is {kind} {names[wrong[0]]}; the model has diverged')


def _check(text: np.ndarray, video: np.ndarray, text_group: np.ndarray,
           video_group: np.ndarray) -> None:
    refuse_not_finite('caption', text, range(len(text)))
    refuse_not_finite('video', video, range(len(video)))
    alone = np.setxor1d(text_group, video_group)
    if len(alone):
        raise ValueError(f'groups {alone[:5].tolist()} lack a video or a caption')


def _own_pairs(text_group: np.ndarray, video_group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns of all (caption, video) of one group, by ascending caption."""
    members: dict[int, list[int]] = {}
    for index, group in enumerate(video_group.tolist()):
        members.setdefault(group, []).append(index)
    columns = [members[group] for group in text_group.tolist()]
    rows = np.repeat(np.arange(len(columns)), [len(own) for own in columns])
    return rows, np.concatenate(columns).astype(np.int64)


def _pair_scores(text: np.ndarray, video: np.ndarray, pairs: tuple,
                 chunk: int = 4096) -> np.ndarray:
    """Return the scores of pairs alone, in chunks so that no copy of the embeddings is made."""
    parts = [np.einsum('nd,nd->n', text[pairs[0][i:i + chunk]], video[pairs[1][i:i + chunk]])
             for i in range(0, len(pairs[0]), chunk)]
    return np.concatenate(parts)


def _equal_rows(embeddings: np.ndarray, items: np.ndarray, queries: np.ndarray,
                is_best: np.ndarray) -> dict[int, np.ndarray]:
    """Find items that equal the best match of a query in every bit.

    A block product and a pair product may round differently, so such ties are written into the
    block instead of being left to chance.

    Returns:
        dict[int, np.ndarray]: item -> queries whose best match has the same embedding.
    """
    by_content: dict[bytes, list[int]] = {}
    for index, row in enumerate(embeddings):
        by_content.setdefault(row.tobytes(), []).append(index)
    repeated = [members for members in by_content.values() if len(members) > 1]
    if not repeated:
        return {}
    items, queries = items[is_best], queries[is_best]
    result = {}
    for members in repeated:
        tied = np.unique(queries[np.isin(items, members)])
        result.update(dict.fromkeys(members, tied))
    return result


def _blocks(groups: np.ndarray, row_bytes: int, block_bytes: int) -> list[tuple[int, int]]:
    """Cut sorted groups into spans of whole groups that fit into memory."""
    ends = np.append(np.flatnonzero(np.diff(groups)) + 1, len(groups))
    spans, start = [], 0
    while start < len(groups):
        fitting = ends[(ends > start) & (ends <= start + block_bytes // row_bytes)]
        stop = int(fitting[-1]) if len(fitting) else int(ends[ends > start][0])
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
