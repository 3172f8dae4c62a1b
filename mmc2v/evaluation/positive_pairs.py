"""Scores of captions with videos, and the pairs among them that belong together.

N captions, M videos, D width, P positive pairs: of one group, usually a video and its captions.
"""
from collections.abc import Callable
from typing import Optional

import numpy as np

from .exact_ties import same_as_best

# (scores, caption indices, video indices), which broadcast -> scores of the same shape
Rescore = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


class Scores:
    """Scores of captions, sorted by group, with videos; those of hidden videos are -inf.

    Args:
        text (np.ndarray): (N, D) embeddings, not sorted.
        video (np.ndarray): (M, D) embeddings.
        order (np.ndarray): (N,) the places in ``text`` of the sorted captions.
        hidden (np.ndarray): (M,) bool, videos that are never found.
        rescore (Callable, optional): Turns scores into what is ranked.
    """

    def __init__(self, text: np.ndarray, video: np.ndarray, order: np.ndarray, hidden: np.ndarray,
                 rescore: Optional[Rescore]) -> None:
        self.text, self.video, self.order, self.hidden = text, video, order, hidden
        self._rescore = rescore or (lambda scores, rows, columns: scores)
        self._is_sorted = bool((np.diff(order) == 1).all())  # then nothing has to be copied

    def block(self, start: int, stop: int) -> np.ndarray:
        """Return the (stop - start, M) scores of some captions with all videos."""
        places = self.order[start:stop]
        text = self.text[start:stop] if self._is_sorted else self.text[places]
        block = self._rescore(text @ self.video.T, places[:, None],
                              np.arange(len(self.video))[None])
        block[:, self.hidden] = -np.inf
        return block

    def pairs(self, rows: np.ndarray, columns: np.ndarray, chunk: int = 4096) -> np.ndarray:
        """Return the (P,) scores of pairs alone, in chunks: no copy of the embeddings is made."""
        places = self.order[rows]
        parts = [np.einsum('nd,nd->n', self.text[places[i:i + chunk]],
                           self.video[columns[i:i + chunk]]) for i in range(0, len(rows), chunk)]
        scores = self._rescore(np.concatenate(parts), places, columns)
        scores[self.hidden[columns]] = -np.inf
        return scores


class PositivePairs:
    """Pairs of one group: they set the bar, and do not count against each other.

    Args:
        score (Scores): Of all captions and videos.
        text_group (np.ndarray): (N,) groups of the sorted captions.
        video_group (np.ndarray): (M,) groups of the videos.

    Attributes:
        best_of_text (np.ndarray): (N,) each caption's best score with a video of its group.
        best_of_video (np.ndarray): (M,) each video's best score with a caption of its group.
    """

    def __init__(self, score: Scores, text_group: np.ndarray, video_group: np.ndarray) -> None:
        self._text_group, self._video_group, self._order = text_group, video_group, score.order
        self._rows, self._columns = rows, columns = _positive_pairs(text_group, video_group)
        scores = score.pairs(rows, columns)
        self.best_of_text, self.best_of_video = (
            np.full(len(groups), -np.inf, dtype=scores.dtype)
            for groups in (text_group, video_group))
        np.maximum.at(self.best_of_text, rows, scores)
        np.maximum.at(self.best_of_video, columns, scores)
        self._same_videos = same_as_best(score.video, columns, rows,
                                         scores == self.best_of_text[rows])
        self._same_texts = same_as_best(score.text, score.order[rows], columns,
                                        scores == self.best_of_video[columns])

    def take_out(self, block: np.ndarray, start: int) -> None:
        """Set positive pairs to -inf, in a block of captions from ``start`` on."""
        pairs = slice(*np.searchsorted(self._rows, (start, start + len(block))))
        block[self._rows[pairs] - start, self._columns[pairs]] = -np.inf

    def level_equal_videos(self, block: np.ndarray, start: int) -> None:
        """Let videos that equal a caption's best one score as that, whatever the rounding."""
        for column, rows in self._same_videos.items():
            rows = rows[(rows >= start) & (rows < start + len(block))]
            rows = rows[self._text_group[rows] != self._video_group[column]]
            block[rows - start, column] = self.best_of_text[rows]

    def level_equal_texts(self, block: np.ndarray, start: int) -> None:
        """Let captions that equal a video's best one score as that, whatever the rounding."""
        if not self._same_texts:
            return
        for row, place in enumerate(self._order[start:start + len(block)].tolist()):
            columns = self._same_texts.get(place)
            if columns is not None:
                columns = columns[self._video_group[columns] != self._text_group[start + row]]
                block[row, columns] = self.best_of_video[columns]


def _positive_pairs(text_group: np.ndarray,
                    video_group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns of all (caption, video) of one group, by ascending caption."""
    by_group = np.argsort(video_group, kind='stable')
    first, last = (np.searchsorted(video_group[by_group], text_group, side)
                   for side in ('left', 'right'))
    rows = np.repeat(np.arange(len(text_group)), last - first)
    within = np.arange(len(rows)) - np.repeat(np.cumsum(last - first) - (last - first),
                                              last - first)
    return rows, by_group[first[rows] + within]
