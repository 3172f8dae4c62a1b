"""Scores that are normalised over other queries before ranking: options, and named in results.

Both use more than the query and the gallery, so figures with and without them do not compare.
N captions (queries), M videos, Q captions of a query bank, D width.
"""
import numpy as np

from .positive_pairs import Rescore
from .ranks import score_blocks


def dual_softmax(text: np.ndarray, video: np.ndarray, over: str, scale: float) -> Rescore:
    """Weigh each score by its share among all queries of the test set: dual softmax (DSL).

    ``s * softmax(scale * s)``, the softmax taken over all captions of a video for text to video,
    and over all videos of a caption for video to text: every query sees all the others, which a
    search engine that answers one query could not. Source: arXiv 2109.04290, section 3.4.

    Args:
        text (np.ndarray): (N, D) unit vectors.
        video (np.ndarray): (M, D) unit vectors.
        over (str): The queries, 'captions' or 'videos'.
        scale (float): Inverse temperature; the model's exp(logit_scale).

    Returns:
        Callable: For :func:`~mmc2v.evaluation.ranks.retrieval_ranks`.
    """
    if over == 'captions':
        log_sum = _log_sum_over_captions(text, video, scale)
    else:
        log_sum = np.concatenate([_log_sum_exp(scale * block.astype(np.float64), axis=1)
                                  for block in score_blocks(text, video)])

    def rescore(scores: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        scores = scores.astype(np.float64)  # shares of 1e-40 still differ
        return scores * np.exp(scale * scores - log_sum[columns if over == 'captions' else rows])
    return rescore


def querybank_norm(text: np.ndarray, video: np.ndarray, bank: np.ndarray,
                   scale: float = 20.0) -> Rescore:
    """Normalise text-to-video scores by a bank of training captions: QB-Norm.

    The dynamic inverted softmax: videos that are the best match of a bank caption are hubs. Where
    a query's best match is a hub, its scores become ``exp(scale * s) / sum over the bank of
    exp(scale * s)``; elsewhere they stay. Source: arXiv 2112.12777, section 3.3.

    Args:
        text (np.ndarray): (N, D) unit vectors.
        video (np.ndarray): (M, D) unit vectors.
        bank (np.ndarray): (Q, D) unit vectors of training captions.
        scale (float): Inverse temperature. Defaults to 20, the source's.

    Returns:
        Callable: For :func:`~mmc2v.evaluation.ranks.retrieval_ranks`, text to video only.
    """
    log_sum = _log_sum_over_captions(bank, video, scale)
    hubs = np.unique(_best_videos(bank, video))
    normalised = np.isin(_best_videos(text, video), hubs)

    def rescore(scores: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        # the logarithm of the softmax orders alike; a row is of one kind throughout
        return np.where(normalised[rows], scale * scores.astype(np.float64) - log_sum[columns],
                        scores)
    return rescore


def _best_videos(text: np.ndarray, video: np.ndarray) -> np.ndarray:
    return np.concatenate([block.argmax(axis=1) for block in score_blocks(text, video)])


def _log_sum_exp(values: np.ndarray, axis: int) -> np.ndarray:
    largest = values.max(axis=axis, keepdims=True)
    return (np.log(np.exp(values - largest).sum(axis=axis, keepdims=True)) + largest).squeeze(axis)


def _log_sum_over_captions(text: np.ndarray, video: np.ndarray, scale: float) -> np.ndarray:
    total = np.full(len(video), -np.inf)
    for block in score_blocks(text, video):
        total = np.logaddexp(total, _log_sum_exp(scale * block.astype(np.float64), axis=0))
    return total
