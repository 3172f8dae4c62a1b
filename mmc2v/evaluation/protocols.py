"""The figures of the field from embeddings, each under a name that says what it is."""
from typing import Optional

import numpy as np

from . import post_processing
from .embeddings import RetrievalEmbeddings
from .ranks import Ranks, refuse_not_finite, retrieval_ranks, summarize


def retrieval_metrics(embeddings: RetrievalEmbeddings, *, all_captions: bool = False,
                      dual_softmax: bool = False, query_bank: bool = False,
                      group_name: str = '', by_kind: bool = False) -> dict[str, float]:
    """Measure text-to-video (t2v) and video-to-text (v2t) retrieval.

    Args:
        embeddings (RetrievalEmbeddings): What is ranked.
        all_captions (bool): Also rank a video's best caption among all captions of other videos
            (``v2t_all_captions``). ``v2t`` ranks among videos' groups of captions, as published.
        dual_softmax (bool): Also with dual softmax (``t2v_dsl``, ``v2t_dsl``).
        query_bank (bool): Also with QB-Norm (``t2v_qbnorm``).
        group_name (str): Also ``t2v/<group_name>_R1`` and ``v2t/<group_name>_R1``, where every
            video of the same group counts as right.
        by_kind (bool): Also ``t2v/<kind>_R1`` and ``v2t/<kind>_R1``, and with ``group_name``
            ``t2v/<kind>_<group_name>_R1``: R@1 among the videos of one kind alone; with ties
            also under ``t2v_ties_won`` and ``v2t_ties_won``.

    Returns:
        dict[str, float]: For each name of a ranking ``/R1``, ``/R5``, ``/R10`` in percent,
        ``/MdR``, ``/MnR`` with ties counted against the model, and ``/tied``, the number of
        queries with ties. Where there are any, ``<name>_ties_won/...`` are the figures with ties
        counted for it. ``videos``, ``captions``, ``undecodable``, and ``missing`` of
        ``listed_videos`` where the data set knows them.

    Raises:
        ValueError: If an embedding is not finite, a bank, groups or kinds are asked for and
            missing, or the bank has another width.
    """
    refuse_not_finite('video', embeddings.video, embeddings.video_ids)
    refuse_not_finite('caption', embeddings.text, embeddings.captions)
    ranks = _rank(embeddings, caption_ranks=all_captions)
    if dual_softmax:
        ranks.update(_dual_softmax_ranks(embeddings))
    if query_bank:
        if embeddings.query_bank is None:
            raise ValueError('QB-Norm needs a query bank of training captions; there is none in '
                             'the embeddings. Give one by --query-bank')
        refuse_not_finite('query bank caption', embeddings.query_bank,
                          range(len(embeddings.query_bank)))
        widths = embeddings.query_bank.shape[1], embeddings.video.shape[1]
        if widths[0] != widths[1]:
            raise ValueError(f'the query bank is {widths[0]} wide, the embeddings {widths[1]}: the '
                             'bank is of another model')
        rescore = post_processing.querybank_norm(embeddings.text, embeddings.video,
                                                 embeddings.query_bank)
        ranks['t2v_qbnorm'] = _rank(embeddings, rescore=rescore)['t2v']
    metrics: dict[str, float] = {}
    for name, values in ranks.items():
        metrics.update(_figures(name, values))
    if group_name:
        metrics.update(_group_figures(embeddings, group_name))
    if by_kind:
        if embeddings.kind is None:
            raise ValueError('by_kind=True needs a data set with kind_file')
        for kind in dict.fromkeys(sorted(embeddings.kind.tolist())):
            metrics.update(_kind_figures(embeddings.of_kind(kind), kind, group_name))
    metrics.update(videos=len(embeddings.video), captions=len(embeddings.text),
                   undecodable=int(embeddings.undecodable.sum()))
    if embeddings.info.get('listed_videos') is not None:
        metrics.update(listed_videos=embeddings.info['listed_videos'],
                       missing=embeddings.info['missing_videos'])
    return metrics


def _rank(embeddings: RetrievalEmbeddings, group: Optional[np.ndarray] = None,
          **kwargs) -> dict[str, Ranks]:
    """Rank where every video of the same of (M,) groups counts as right; by default it alone."""
    group = np.arange(len(embeddings.video)) if group is None else group
    return retrieval_ranks(embeddings.text, embeddings.video, group[embeddings.owner], group,
                           undecodable=embeddings.undecodable, **kwargs)


def _group_figures(embeddings: RetrievalEmbeddings, name: str) -> dict[str, float]:
    """Return R@1 of both directions where every video of the same group counts as right."""
    if embeddings.group is None:
        raise ValueError(f"group_name='{name}' needs a data set with group_file")
    group = np.unique(embeddings.group, return_inverse=True)[1].reshape(-1)
    return {f'{direction}/{name}_R1': summarize(values.lost)['R1'] for direction, values in
            _rank(embeddings, group).items()}


def _kind_figures(embeddings: RetrievalEmbeddings, kind: str, group_name: str) -> dict[str, float]:
    figures = {}
    for direction, ranks in _rank(embeddings).items():
        figures[f'{direction}/{kind}_R1'] = summarize(ranks.lost)['R1']
        if (ranks.lost != ranks.won).any():
            figures[f'{direction}_ties_won/{kind}_R1'] = summarize(ranks.won)['R1']
    if group_name:
        figures.update(_group_figures(embeddings, f'{kind}_{group_name}'))
    return figures


def _dual_softmax_ranks(embeddings: RetrievalEmbeddings) -> dict[str, Ranks]:
    # an undecodable video is nobody's competitor and no query; where all are, every rank is the
    # last, whatever they score
    decodable = ~embeddings.undecodable
    video = embeddings.video[decodable] if decodable.any() else embeddings.video
    result = {}
    for name, over, among in (('t2v', 'captions', embeddings.video), ('v2t', 'videos', video)):
        rescore = post_processing.dual_softmax(embeddings.text, among, over,
                                               embeddings.logit_scale)
        result[f'{name}_dsl'] = _rank(embeddings, rescore=rescore)[name]
    return result


def _figures(name: str, ranks: Ranks) -> dict[str, float]:
    """Return the figures of one ranking, both bounds where there are ties."""
    tied = int((ranks.lost != ranks.won).sum())
    figures = {f'{name}/{key}': value for key, value in summarize(ranks.lost).items()}
    figures[f'{name}/tied'] = tied
    if tied:
        figures.update({f'{name}_ties_won/{key}': value
                        for key, value in summarize(ranks.won).items()})
    return figures
