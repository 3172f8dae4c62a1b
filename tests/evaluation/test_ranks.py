"""Ranks against hand-made matrices, a naive version, and the authors' metric values."""
import json
import operator

import numpy as np
import pytest

from mmc2v.evaluation import format_table, retrieval_ranks, summarize

from ..models.golden import OWN, arrays


def ranks_of_matrix(scores, text_group=None, video_group=None, **kwargs):
    """Rank a given matrix of scores: captions are its rows, videos one-hot."""
    scores = np.asarray(scores, dtype=np.float64)
    own = np.arange(scores.shape[1])
    return retrieval_ranks(scores, np.eye(scores.shape[1]), own if text_group is None else
                           text_group, own if video_group is None else video_group, **kwargs)


def naive(scores, text_group, video_group, ahead=operator.ge):
    """The definition, item by item: both directions, and V2T among all captions."""
    text_group, video_group = np.asarray(text_group), np.asarray(video_group)
    t2v = [1 + sum(ahead(scores[t, v], max(scores[t, video_group == text_group[t]]))
                   for v in np.flatnonzero(video_group != text_group[t]))
           for t in range(len(text_group))]
    v2t, among_captions = [], []
    for v, group in enumerate(video_group):
        best = {g: scores[text_group == g, v].max() for g in set(text_group.tolist())}
        v2t.append(1 + sum(ahead(value, best[group]) for g, value in best.items() if g != group))
        among_captions.append(1 + sum(ahead(value, best[group])
                                      for value in scores[text_group != group, v]))
    return np.array(t2v), np.array(v2t), np.array(among_captions)


def assert_naive(ranks, scores, text_group, video_group):
    """Both bounds of every ranking are those of the definition."""
    for bound, ahead in (('lost', operator.ge), ('won', operator.gt)):
        expected = naive(scores, text_group, video_group, ahead)
        for name, values in zip(('t2v', 'v2t', 'v2t_all_captions'), expected):
            if name in ranks:
                assert getattr(ranks[name], bound).tolist() == values.tolist(), (name, bound)


def test_matrix_readable_by_eye():
    ranks = ranks_of_matrix([[.9, .1, .2],    # right first
                             [.5, .4, .6],    # right last
                             [.7, .1, .7]])   # tied with video 0: counts against
    assert ranks['t2v'].lost.tolist() == [1, 3, 2]
    assert ranks['v2t'].lost.tolist() == [1, 1, 1]
    ranks = ranks_of_matrix([[.9, .4, .2], [.9, .4, .6], [.7, .4, .7]])
    assert ranks['v2t'].lost.tolist() == [2, 3, 1]  # video 0 ties once, video 1 twice


def test_captions_of_a_video_help_each_other_in_v2t_alone():
    ranks = ranks_of_matrix([[.1, .3], [.8, .9], [.2, .7]], text_group=[0, 0, 1])
    assert ranks['t2v'].lost.tolist() == [2, 2, 1]
    assert ranks['v2t'].lost.tolist() == [1, 2]  # for video 1 the second caption of video 0 has .9


def test_pairs_count_either_video():
    scores = [[.5, .9, .1, .2], [.9, .8, .1, .2], [.1, .1, .3, .2], [.6, .1, .3, .5]]
    ranks = ranks_of_matrix(scores, text_group=[0, 0, 1, 1], video_group=[0, 0, 1, 1])
    assert ranks['t2v'].lost.tolist() == [1, 1, 1, 2]
    assert ranks['v2t'].lost.tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize('seed', range(12))
def test_naive_version_with_and_without_ties(seed):
    rng = np.random.default_rng(seed)
    num_videos, counts = 13, rng.integers(1, 6, 13)
    text_group = rng.permutation(np.repeat(np.arange(num_videos), counts))  # in no order
    scores = rng.normal(size=(len(text_group), num_videos))
    if seed % 2:
        scores = np.round(scores * 2)  # many ties
    video_group = np.arange(num_videos)
    if seed % 3 == 0:  # two videos a group
        text_group, video_group = text_group // 2, video_group // 2
    for block_bytes in (1, 8 * 13 * 9, 2 ** 25):
        ranks = ranks_of_matrix(scores, text_group, video_group, block_bytes=block_bytes,
                                caption_ranks=True)
        assert len(ranks) == 3
        assert_naive(ranks, scores, text_group, video_group)
        assert (ranks['v2t'].lost != ranks['v2t'].won).any() == bool(seed % 2)


@pytest.mark.parametrize('seed', range(6))
def test_equal_embeddings_tie_whatever_the_rounding(seed):
    """Copies of captions and videos in float32 of a width at which products round."""
    rng = np.random.default_rng(seed)
    video = rng.normal(size=(40, 1024)).astype(np.float32)
    text = (video + 2 * rng.normal(size=video.shape)).astype(np.float32)
    text[7] = text[31]
    text[8] = text[9] = text[30]
    video[3] = video[22]
    own = np.arange(40)
    exact = text.astype(np.float64) @ video.astype(np.float64).T
    t2v, v2t, _ = naive(exact, own, own)
    for block_bytes in (1, 4 * 40 * 7, 2 ** 25):
        ranks = retrieval_ranks(text, video, own, own, block_bytes=block_bytes)
        assert_naive(ranks, exact, own, own)
    assert t2v[3] >= 2
    assert v2t[7] >= 2


def test_collapsed_model_is_last_not_first():
    ranks = retrieval_ranks(np.ones((6, 8)), np.ones((3, 8)), [0, 0, 1, 1, 2, 2], [0, 1, 2])
    assert ranks['t2v'].lost.tolist() == [3] * 6
    assert ranks['v2t'].lost.tolist() == [3] * 3
    assert ranks['t2v'].won.tolist() == [1] * 6


GOLDEN_METRICS = json.loads((OWN / 'metrics.json').read_text())


@pytest.mark.parametrize('name', GOLDEN_METRICS)
def test_golden_metrics(name):
    """Without ties our figures are the authors'; with ties they agree with the naive version."""
    stored = GOLDEN_METRICS[name]
    scores = arrays('metrics', OWN)[f'sim_{name}']
    counts = arrays('metrics', OWN).get(f'counts_{name}', np.ones(scores.shape[1], dtype=int))
    text_group = np.repeat(np.arange(scores.shape[1]), counts)
    ranks = ranks_of_matrix(scores, text_group)
    assert_naive(ranks, scores, text_group, np.arange(scores.shape[1]))
    strict = stored.get('t2v_strictly_greater_rank')
    if strict:  # ties won are what the reference calls strictly greater
        won = summarize(ranks['t2v'].won)
        assert [won[key] for key in ('R1', 'R5', 'R10', 'MnR')] == pytest.approx(
            [strict[key] for key in ('R1', 'R5', 'R10', 'MeanR')])
    for direction, values in ((name, ranks[name].lost) for name in ('t2v', 'v2t')):
        queries = scores.shape[0 if direction == 't2v' else 1]
        if stored.get(f'{direction}_rank_entries', queries) != queries or 'ties' in name:
            continue  # the authors' code counts tied positions more than once
        theirs = stored[direction]
        ours = summarize(values)
        for mine, key in (('R1', 'R1'), ('R5', 'R5'), ('R10', 'R10'), ('MnR', 'MeanR')):
            assert ours[mine] == pytest.approx(theirs[key], rel=1e-6), (direction, key)
        if name != 'multi_37_even' or direction == 'v2t':  # theirs is the lower median there
            assert ours['MdR'] == theirs['MedianR']
    if name == 'multi_37_even':
        median = stored['t2v_strictly_greater_rank_numpy_median']['MedianR']
        assert summarize(ranks['t2v'].lost)['MdR'] == median


def test_undecodable_videos_find_nothing_and_are_never_found():
    scores = np.array([[.9, .1, .2], [.5, .6, .4], [.3, .95, .7], [.1, .2, .8]])
    ranks = ranks_of_matrix(scores, text_group=[0, 0, 1, 2], caption_ranks=True,
                            undecodable=np.array([False, True, False]))
    assert ranks['t2v'].lost.tolist() == [1, 1, 3, 1]  # caption 2 wants the undecodable one
    assert ranks['v2t'].lost.tolist() == [1, 3, 1]  # its caption still competes, for video 2 .7
    assert ranks['v2t_all_captions'].won.tolist() == [1, 4, 1]
    scores[2, 2] = .85
    ranks = ranks_of_matrix(scores, text_group=[0, 0, 1, 2],
                            undecodable=np.array([False, True, False]))
    assert ranks['v2t'].won.tolist() == [1, 3, 2]


def test_not_a_number_is_an_error_and_never_a_rank():
    text = np.eye(3)
    text[1, 1] = np.nan
    with pytest.raises(ValueError, match='caption 1'):
        retrieval_ranks(text, np.eye(3), [0, 1, 2], [0, 1, 2])
    with pytest.raises(ValueError, match='2 videos are NaN or infinite'):
        retrieval_ranks(np.eye(3), np.array([[np.inf, 0, 0], [0, np.nan, 0], [0, 0, 1]]),
                        [0, 1, 2], [0, 1, 2])
    with pytest.raises(ValueError, match=r'groups \[2\]'):
        retrieval_ranks(np.eye(3), np.eye(3), [0, 1, 1], [0, 1, 2])


def test_memory_does_not_grow_with_the_matrix():
    import tracemalloc
    rng = np.random.default_rng(0)
    text, video = (rng.normal(size=(n, 16)).astype(np.float32) for n in (20000, 1000))
    tracemalloc.start()
    retrieval_ranks(text, video, np.repeat(np.arange(1000), 20), np.arange(1000),
                    block_bytes=2 ** 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6 < text.shape[0] * video.shape[0] * 4  # the matrix alone has 80 MB


def test_summary_and_table():
    values = summarize(np.array([1, 2, 6, 11]))
    assert values == dict(R1=25.0, R5=50.0, R10=75.0, MdR=4.0, MnR=5.0)
    metrics = {f'{d}/{k}': v for d in ('t2v', 'v2t') for k, v in values.items()}
    metrics.update({'t2v/pair_R1': 33.3, 'v2t/pair_R1': 44.4})
    lines = format_table(metrics).splitlines()
    assert lines[0].split() == ['R@1', 'R@5', 'R@10', 'MdR', 'MnR', 'pair', 'R@1']
    assert lines[1].split() == ['T2V', '25.0', '50.0', '75.0', '4.0', '5.0', '33.3']
    assert lines[2].split()[-1] == '44.4'
