"""Figures of pairs of twins, on scores that can be read by eye and against naive counts."""
import itertools

import numpy as np
import pytest

from mmc2v.evaluation import RetrievalEmbeddings, retrieval_metrics
from mmc2v.evaluation.twins import (
    average_precision,
    level_twins,
    likeness_precision,
    mean_over_pairs,
    pair_shares,
    told_apart,
    twin_figures,
)

SHAPE = 6, 2, 3, 6, 2, 2  # pairs, captions of a pair, phrasings, pairs, videos of a pair, drawings


def one_pair(scores):
    """Scores of two captions (rows) with two videos."""
    return np.array(scores, float).reshape(1, 2, 1, 1, 2, 1)


@pytest.mark.parametrize(('scores', 'expected'), [
    ([[.9, .1], [.2, .8]], dict(text=1, video=1, group=1, tied=0)),
    ([[.9, .5], [.2, .4]], dict(text=0, video=1, group=0, tied=0)),  # caption 0 fits all better
    ([[.9, .2], [.5, .4]], dict(text=1, video=0, group=0, tied=0)),  # video 0 fits all better
    ([[.1, .9], [.8, .2]], dict(text=0, video=0, group=0, tied=0)),
    ([[.9, .9], [.2, .2]], dict(text=0, video=0, group=0, tied=1)),  # frames as a set
    ([[.5, .5], [.5, .5]], dict(text=0, video=0, group=0, tied=1)),  # deaf and blind
    ([[.9, .9], [.2, .95]], dict(text=1, video=0, group=0, tied=.5)),  # one tie is no success
])
def test_the_scores_of_one_pair(scores, expected):
    assert {name: float(share[0]) for name, share in pair_shares(one_pair(scores)).items()} == \
        pytest.approx(expected)


def test_the_scores_are_those_of_a_naive_count():
    scores = np.random.default_rng(0).normal(size=SHAPE)
    count, _, phrasings, _, _, drawings = SHAPE
    found = {name: np.zeros(count) for name in ('text', 'video', 'group')}
    for pair, way, drawing in itertools.product(range(count), range(phrasings), range(drawings)):
        s = scores[pair, :, way, pair, :, drawing]
        text = s[0, 0] > s[1, 0] and s[1, 1] > s[0, 1]
        video = s[0, 0] > s[0, 1] and s[1, 1] > s[1, 0]
        for name, success in dict(text=text, video=video, group=text and video).items():
            found[name][pair] += success / phrasings / drawings
    shares = pair_shares(scores)
    for name, expected in found.items():
        np.testing.assert_allclose(shares[name], expected)
        assert 0 < expected.mean() < 1


def test_chance_is_a_quarter_a_quarter_and_a_sixth():
    scores = np.random.default_rng(1).normal(size=(40, 2, 50, 1, 2, 50))
    scores = np.broadcast_to(scores, (40, 2, 50, 40, 2, 50))
    shares = pair_shares(scores)
    for name, chance in dict(text=1 / 4, video=1 / 4, group=1 / 6).items():
        assert abs(shares[name].mean() - chance) < 3 * mean_over_pairs(shares[name]).error / 100


def test_the_error_is_binomial_over_pairs_and_repetitions_count_once():
    once = np.array([1.] * 30 + [0.] * 70)
    figure = mean_over_pairs(once)
    assert figure == pytest.approx((30, 100 * (0.3 * 0.7 / 99) ** 0.5))
    scores = np.random.default_rng(2).normal(size=(30, 2, 1, 30, 2, 1))
    repeated = np.broadcast_to(scores, (30, 2, 4, 30, 2, 3))
    expected, found = twin_figures(scores), twin_figures(repeated)
    for name in expected:
        assert found[name] == pytest.approx(expected[name], nan_ok=True), name
    assert np.isnan(mean_over_pairs(np.ones(1)).error)


def test_told_apart_is_the_share_of_the_ablation(monkeypatch):
    """R@1 in percent of pair R@1, of the metric that the ablation reports; some scores tie."""
    from ..tiny import ROOT
    monkeypatch.syspath_prepend(str(ROOT / 'tools' / 'analysis_tools'))
    from ablation_report import twin_share
    rng = np.random.default_rng(3)
    scores = np.round(rng.normal(size=(12, 2, 2, 12, 2, 1)), 1)
    own = np.arange(12)
    scores[own, :, :, own] += 2
    scores[own, 0, :, own, 0] += 0.5
    metrics = retrieval_metrics(RetrievalEmbeddings(
        video=np.eye(24), video_ids=np.arange(24).astype(str), undecodable=np.zeros(24, bool),
        text=scores.reshape(48, 24), captions=np.arange(48).astype(str),
        owner=np.arange(24).repeat(2), group=(np.arange(24) // 2).astype(str),
        kind=np.full(24, 'size')), group_name='pair', by_kind=True)
    assert metrics['t2v/tied'] > 0
    for direction in ('t2v', 'v2t'):
        figure = told_apart(scores, direction)
        assert figure.value == pytest.approx(twin_share(metrics, direction, 'size'))
        assert 50 < figure.value < 100


def test_the_error_of_told_apart_is_its_spread_over_repeated_draws():
    rng = np.random.default_rng(4)
    own = np.arange(40)
    figures = []
    for _ in range(150):
        scores = rng.normal(size=(40, 2, 1, 40, 2, 1))
        scores[own, :, :, own] += 2.5
        figures.append(told_apart(scores, 't2v'))
    values, errors = np.array(figures).T
    assert errors.mean() == pytest.approx(values.std(), rel=0.2)
    assert values.mean() == pytest.approx(50, abs=2)


def test_what_finds_no_pair_has_no_share():
    scores = -np.ones((3, 2, 1, 3, 2, 1)) * np.eye(3)[:, None, None, :, None, None]
    assert np.isnan(told_apart(scores, 't2v')).all()


def test_frames_as_a_set_reach_the_bounds_exactly():
    """Scores of twins differ by rounding alone, and are levelled."""
    rng = np.random.default_rng(5)
    looks = rng.normal(size=(8, 2, 2, 8, 1, 2)).repeat(2, axis=4)
    own = np.arange(8)
    looks[own, :, :, own] += 5
    noisy = looks + 1e-7 * rng.normal(size=looks.shape)
    likeness = rng.normal(size=(8, 1, 1)) + 1e-7 * rng.normal(size=(8, 2, 2))
    for axis in (1, 2):
        likeness = level_twins(likeness, 1e-5, axis)
    figures = twin_figures(level_twins(noisy, 1e-5, axis=4), likeness)
    assert {name: figure.value for name, figure in figures.items()} == dict(
        text=0, video=0, group=0, tied=100, t2v=50, v2t=50, ap=50)
    assert twin_figures(noisy)['video'].value > 0  # what rounding would have won


def test_average_precision_of_a_ranking():
    # descending: right, right, wrong, right, then one of each that tie, wrong, wrong
    likeness = np.array([[[.9, .4], [.3, .8]], [[.6, .7], [.4, .4]]])
    expected = (1 / 1 + 2 / 2 + 3 / 4 + 4 / 7) / 4
    assert average_precision(likeness) == pytest.approx(expected)
    assert average_precision(np.array([[[1., 0], [0, 1]]])) == 1
    assert likeness_precision(np.ones((5, 2, 2))) == pytest.approx((50, 0))


def test_the_jackknife_is_the_spread_over_repeated_draws():
    rng = np.random.default_rng(6)
    figures = np.array([likeness_precision(rng.normal(size=(40, 2, 2)) + np.eye(2))
                        for _ in range(150)])
    assert figures[:, 1].mean() == pytest.approx(figures[:, 0].std(), rel=0.2)


def test_a_score_that_is_not_finite_is_refused():
    scores = np.zeros((2, 2, 1, 2, 2, 1))
    scores[1, 0, 0, 0, 1, 0] = np.nan
    with pytest.raises(ValueError, match='NaN or infinite'):
        twin_figures(scores)
