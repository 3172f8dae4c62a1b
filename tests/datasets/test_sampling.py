"""The published frame sampling, on indices and on real files."""
import av
import numpy as np
import pytest

from mmc2v.datasets.transforms import (
    DecodeFrames,
    OpenVideo,
    SampleGridFrames,
    choose_grid_frames,
    grid_size,
    grid_to_frames,
)

from ..tiny import random_video


def test_published_indices():
    assert choose_grid_frames(75, 12, divisor=2).tolist() == [
        0, 6, 12, 18, 26, 32, 39, 45, 53, 59, 65, 74]
    assert len(choose_grid_frames(23, 12, divisor=2)) == 11
    assert choose_grid_frames(12, 12).tolist() == list(range(12))
    assert choose_grid_frames(1, 12, divisor=2).tolist() == [0]  # 1 // 2 is no frame at all


def test_only_what_is_wanted_is_computed():
    """The grid of a thousand years has 1.6e11 instants, which no machine holds."""
    thousand_years = 1000 * 365.25 * 24 * 3600
    chosen = choose_grid_frames(grid_size(thousand_years), 12, divisor=2)
    assert len(chosen) == 12
    assert (chosen[0], chosen[-1]) == (0, grid_size(thousand_years) - 1)
    sampled = SampleGridFrames(12).transform(dict(
        frame_times=np.array([0.0, 0.2, thousand_years]), duration=thousand_years))
    assert sampled['frame_inds'][:11].tolist() == [0, *[1] * 10]


@pytest.mark.parametrize('divisor', [1, 2, 3, 7])
def test_indices_are_those_of_linspace(divisor):
    for size in range(1, 700):
        count = max(1, size // divisor)
        thinned = np.linspace(0, size - 1, count, dtype=int)
        for num_frames in (1, 8, 12, 64):
            expected = thinned if count <= num_frames else thinned[
                np.linspace(0, count - 1, num_frames, dtype=int)]
            assert choose_grid_frames(size, num_frames, divisor).tolist() == expected.tolist()


def naive(num_grid_frames, num_frames, divisor):
    """The rule in words, without numpy's rounding."""
    count = max(1, num_grid_frames // divisor)
    thinned = [int(i * (num_grid_frames - 1) / max(1, count - 1)) for i in range(count)]
    if count <= num_frames:
        return thinned
    return [thinned[int(i * (count - 1) / (num_frames - 1))] for i in range(num_frames)]


@pytest.mark.parametrize('divisor', [1, 2, 3])
def test_indices_for_all_lengths(divisor):
    for length in range(1, 200):
        chosen = choose_grid_frames(length, 12, divisor)
        assert (np.diff(chosen) > 0).all()
        assert chosen[0] >= 0
        assert chosen[-1] < length
        # linspace and exact fractions differ where a product ends in .999999
        assert np.abs(chosen - naive(length, 12, divisor)).max() <= 1, length


def test_jitter_moves_inner_frames_by_less_than_half_a_gap():
    plain = choose_grid_frames(150, 12)
    moved = np.array([choose_grid_frames(150, 12, rng=np.random.default_rng(i))
                      for i in range(300)])
    assert (moved[:, [0, -1]] == plain[[0, -1]]).all()
    shifts = moved[:, 1:-1] - plain[1:-1]
    assert shifts.min() == -6  # gap 13, half of it 6; the upper end is open
    assert shifts.max() == 5
    assert (np.diff(moved, axis=1) >= 0).all()


@pytest.mark.parametrize('length', [12, 60, 66])
def test_no_jitter_where_the_gap_is_small(length):
    plain = choose_grid_frames(length, 12)
    assert (choose_grid_frames(length, 12, rng=np.random.default_rng(0)) == plain).all()


def test_jitter_starts_at_half_gap_three():
    assert (choose_grid_frames(67, 12, rng=np.random.default_rng(0))
            != choose_grid_frames(67, 12)).any()


def extract_at_5_fps(path):
    """What ffmpeg's fps filter writes to files when it takes the frame shown at each instant."""
    container = av.open(str(path))
    stream = container.streams.video[0]
    graph = av.filter.Graph()
    source = graph.add_buffer(template=stream)
    rate, sink = graph.add('fps', 'fps=5:round=up'), graph.add('buffersink')
    source.link_to(rate)
    rate.link_to(sink)
    graph.configure()
    frames = []

    def drain():
        while True:
            try:
                frames.append(graph.pull().to_ndarray(format='rgb24'))
            except (av.error.BlockingIOError, av.error.EOFError):
                return
    for frame in container.decode(stream):
        graph.push(frame)
        drain()
    graph.push(None)
    drain()
    return frames


@pytest.mark.parametrize('rate', ['24', '25', '30000/1001'])
def test_frames_are_those_of_a_5_fps_extraction(rate, tmp_path):
    from fractions import Fraction
    path = tmp_path / 'video.mp4'
    random_video(path, num_frames=100, fps=Fraction(rate))
    extracted = extract_at_5_fps(path)
    results = OpenVideo().transform(dict(filename=str(path)))
    size = grid_size(results['duration'])
    assert size == round(5 * 100 / float(Fraction(rate)))
    results['frame_inds'] = grid_to_frames(results['frame_times'], np.arange(size))
    ours = DecodeFrames().transform(results)['imgs']
    assert len(extracted) in (len(ours), len(ours) + 1)  # the filter may repeat the last frame
    for number, (mine, theirs) in enumerate(zip(ours, extracted)):
        assert np.array_equal(mine, theirs), number


def test_grid_on_irregular_timestamps():
    times = np.array([0.0, 0.19, 0.2002, 0.7, 0.8])
    # shown at 0, .2, .4, .6, .8: 0.2002 comes after 0.2, and 0.7 is not shown yet at 0.6
    assert grid_to_frames(times, np.arange(grid_size(1.0))).tolist() == [0, 1, 2, 2, 4]


def test_short_clip_keeps_all_frames_and_says_how_many_the_model_takes():
    results = SampleGridFrames(num_frames=12).transform(
        dict(frame_times=np.arange(20) / 10, duration=2.0))
    assert results['frame_inds'].tolist() == list(range(0, 20, 2))
    assert results['clip_len'] == 12


@pytest.mark.parametrize(('length', 'expected'), [
    (1, [0] * 8), (3, [0, 0, 0, 1, 1, 1, 2, 2]), (5, [0, 0, 1, 1, 2, 3, 3, 4]),
    (8, list(range(8)))])
def test_short_clips_are_filled_evenly_where_asked(length, expected):
    step = SampleGridFrames(num_frames=8, fill=True)
    results = step.transform(dict(frame_times=np.arange(length) / 5, duration=length / 5))
    assert results['frame_inds'].tolist() == expected
    long = dict(frame_times=np.arange(40) / 5, duration=8.0)
    assert step.transform(dict(long))['frame_inds'].tolist() == SampleGridFrames(8).transform(
        dict(long))['frame_inds'].tolist()


def test_wrong_numbers_are_refused():
    with pytest.raises(ValueError, match='jitter=True is for training'):
        SampleGridFrames(jitter=True).transform(dict(frame_times=np.arange(9) / 5, duration=1.8))
    with pytest.raises(ValueError, match='at least 1'):
        SampleGridFrames(num_frames=0)
    with pytest.raises(ValueError, match='fps positive'):
        SampleGridFrames(fps=0)
