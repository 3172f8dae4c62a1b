"""From scores to moments, against a plain loop."""
import numpy as np
import pytest

from mmc2v.search.ranking import rank_moments


def plainly(scores, videos, spans, top, per_video):
    order = sorted(range(len(scores)), key=lambda clip: (-scores[clip], clip))
    chosen, moments = [], {}
    for clip in order:
        video, (start, end) = videos[clip], spans[clip]
        if video not in chosen:
            if len(chosen) == top:
                continue
            chosen.append(video)
            moments[video] = []
        if len(moments[video]) < per_video and not any(
                start < b and a < end for a, b, _ in moments[video]):
            moments[video].append((start, end, scores[clip]))
    return [(video, moments[video]) for video in chosen]


@pytest.mark.parametrize('count', [1, 7, 500, 6000])
@pytest.mark.parametrize('levels', [4, 10 ** 6])  # with and without ties
def test_moments_are_those_of_a_plain_loop(count, levels):
    rng = np.random.default_rng(count)
    scores = (rng.integers(0, levels, count) / levels).astype(np.float32)
    videos = np.sort(rng.integers(0, max(1, count // 9), count))
    starts = rng.integers(0, 20, count) / 2
    spans = np.stack([starts, starts + 2], axis=1)
    for top, per_video in ((1, 1), (5, 3), (10 ** 6, 2)):
        found = rank_moments(scores, videos, spans, top, per_video)
        assert [(hit.video, [(m.start, m.end, m.score) for m in hit.moments])
                for hit in found] == plainly(scores, videos, spans, top, per_video)


def test_how_far_a_moment_stands_out():
    scores = np.array([0.1, 0.2, 0.3, 0.9], np.float32)
    spans = np.arange(8.0).reshape(4, 2)
    best = rank_moments(scores, np.arange(4), spans, top=1)[0].moments[0]
    assert best.stands_out == pytest.approx((0.9 - scores.mean()) / scores.std(), abs=1e-5)
    same = rank_moments(np.ones(3, np.float32), np.arange(3), spans[:3])
    assert [hit.video for hit in same] == [0, 1, 2]
    assert same[0].moments[0].stands_out == 0
    assert rank_moments(scores[:0], np.arange(0), spans[:0]) == []
