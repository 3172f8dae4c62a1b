"""Which clips a video of some length has."""
import numpy as np
import pytest

from mmc2v.search.windows import Windows


@pytest.mark.parametrize('duration', [0.2, 9.99, 10, 10.4, 12, 15, 19.99, 20, 33.3, 3600])
def test_clips_cover_the_video_and_end_with_it(duration):
    windows = Windows(10, 5, 12)
    spans = windows.spans(duration)
    assert spans[0, 0] == 0
    assert abs(spans[-1, 1] - duration) < 1e-9
    assert (spans[1:, 0] <= spans[:-1, 1]).all()  # no gap
    assert (np.diff(spans[:, 0]) > 0).all()
    assert (spans[:, 1] <= duration + 1e-9).all()
    lengths = spans[:, 1] - spans[:, 0]
    if duration <= 10:
        assert len(spans) == 1
    else:
        assert np.allclose(lengths[:-1], 10)
        assert 10 - 1e-9 <= lengths[-1] < 10 + windows.spacing


def test_neighbours_share_frames():
    windows = Windows(10, 5, 12)
    instants = windows.instants(windows.spans(31.7))
    assert instants.shape == (6, 12)
    assert np.allclose(instants[1:-1, :6], instants[:-2, 6:])
    # also the last one, which lies elsewhere
    assert len(np.unique(instants.round(6))) == 6 * 5 + 6 + round(
        (instants[-1, 0] - instants[-2, 0]) / windows.spacing)


@pytest.mark.parametrize(('length', 'stride', 'frames', 'message'), [
    (0, 5, 12, 'a window must be'), (float('nan'), 5, 12, 'a window must be'),
    (10, 0, 12, 'the stride must be'), (10, 11, 12, 'the stride must be above 0 and at most'),
    (10, 5, 0, 'at least one frame')])
def test_what_cannot_be_is_refused(length, stride, frames, message):
    with pytest.raises(ValueError, match=message):
        Windows(length, stride, frames)
