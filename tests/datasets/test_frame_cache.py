"""A cache holds the frames that sampling finds in the originals, and refuses other configs."""
import json
import runpy
import sys
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from mmc2v.datasets.frame_cache import CacheSettings, cache_video, start_cache
from mmc2v.datasets.transforms import (
    BACKENDS,
    ResizeCenterCrop,
    SampleGridFrames,
    choose_grid_frames,
)
from mmc2v.registry import DATASETS

from ..processes import run_script
from ..tiny import ROOT, dataset_config, full_disk, pipeline, run_config, write_dataset
from ..video.made_videos import write

SETTINGS = CacheSettings(64, 4, 2, 5.0, None, candidates=9)


def sampled(path, jitter=None, size=64, num_frames=4, divisor=2):
    """Times and pixels that the published sampling finds in a file."""
    reader = BACKENDS['pyav'](path)
    results = SampleGridFrames(num_frames, divisor, jitter=jitter is not None).transform(dict(
        frame_times=reader.times, duration=reader.duration, rng=np.random.default_rng(jitter)))
    images = ResizeCenterCrop(size).transform(dict(
        imgs=reader.read(results['frame_inds'].tolist())))['imgs']
    return reader.times[results['frame_inds']], np.stack(images).astype(int)


@pytest.mark.parametrize('kind', ['constant rate', 'variable rate', '29.97', 'longer than 1 h'])
def test_sampling_finds_the_same_frames_in_the_cache(kind, tmp_path):
    times = None
    if kind == 'variable rate':
        times = np.cumsum([0, *np.random.default_rng(0).integers(7, 300, 59)]).tolist()
    if kind == 'longer than 1 h':
        times = (np.arange(60) * 80000).tolist()
    rate = Fraction(30000, 1001) if kind == '29.97' else 25
    source = write(tmp_path / 'a.mkv', times=times, rate=rate)
    target = str(tmp_path / 'cache' / 'a.mkv')
    assert cache_video(source, target, SETTINGS) is None
    original, cached = sampled(source), sampled(target)
    np.testing.assert_allclose(cached[0], original[0], atol=2e-6)
    assert len(set(original[0])) == 4
    assert np.abs(cached[1] - original[1]).mean() < 6  # JPEG; another frame differs by more
    other = np.abs(cached[1] - np.roll(original[1], 1, axis=0)).mean()
    assert other > 15
    assert BACKENDS['pyav'](target).duration == pytest.approx(
        BACKENDS['pyav'](source).duration, abs=2e-6)


def test_candidates_are_those_of_evaluation_and_more_for_jitter(tmp_path):
    times = np.arange(300) / 25
    chosen = CacheSettings(64, 12, 1, 5.0, None, candidates=36).choose(times, 12.0)
    assert 36 <= len(chosen) <= 48
    grid = np.arange(60) * 5  # 5 of 25 frames a second
    assert set(grid[choose_grid_frames(60, 12)]) <= set(chosen)
    short = CacheSettings(64, 12, 1, 5.0, None, candidates=36).choose(times[:100], 4.0)
    assert short.tolist() == list(range(0, 100, 5))  # the whole grid
    limited = CacheSettings(64, 12, 1, 5.0, 4.0, candidates=36).choose(times, 12.0)
    assert limited.max() < 100


def test_jitter_of_a_short_video_is_that_of_the_original(tmp_path):
    source = write(tmp_path / 'a.mp4', num_frames=100)
    target = str(tmp_path / 'cache' / 'a.mp4')
    cache_video(source, target, CacheSettings(64, 4, 1, 5.0, None, candidates=36))
    for seed in range(5):
        original, cached = sampled(source, seed, divisor=1), sampled(target, seed, divisor=1)
        np.testing.assert_allclose(cached[0], original[0], atol=2e-6)


def test_a_video_that_cannot_be_decoded_is_copied(tmp_path):
    (tmp_path / 'a.mp4').write_text('broken')
    reason = cache_video(str(tmp_path / 'a.mp4'), str(tmp_path / 'cache' / 'a.mp4'), SETTINGS)
    assert reason
    assert (tmp_path / 'cache' / 'a.mp4').read_text() == 'broken'


@pytest.mark.parametrize('is_whole', [True, False])
def test_a_full_disk_leaves_nothing_of_a_video(is_whole, tmp_path):
    source = write(tmp_path / 'a.mp4', num_frames=30)
    if not is_whole:
        (tmp_path / 'a.mp4').write_bytes(b'broken' * 500)
    with full_disk(), pytest.raises(OSError, match=r'a\.mp4'):
        cache_video(source, str(tmp_path / 'cache' / 'a.mp4'), SETTINGS)
    assert list((tmp_path / 'cache').iterdir()) == []


def test_a_cache_is_written_into_its_folder(tmp_path, monkeypatch):
    write_dataset(tmp_path / 'data', num_videos=1, num_frames=5)
    (tmp_path / 'data' / 'all.json').write_text('{"../videos/0.mp4": ["a"]}')
    run_config(tmp_path / 'data', tmp_path / 'work').dump(tmp_path / 'config.py')
    monkeypatch.setattr(sys, 'argv', ['cache_videos.py', str(tmp_path / 'config.py'), '--out',
                                      str(tmp_path / 'out' / 'cache'), '--workers', '1'])
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    with pytest.raises(ValueError, match=r"all\.json': the video '\.\./videos/0\.mp4' is outside"):
        runpy.run_path(str(ROOT / 'tools' / 'cache_videos.py'), run_name='tool')['main']()
    assert not (tmp_path / 'out').exists()


def script(*args):
    return run_script('tools/cache_videos.py', *args)


@pytest.fixture(scope='module')
def cached(tmp_path_factory):
    folder = tmp_path_factory.mktemp('cache')
    write_dataset(folder / 'data')
    (folder / 'data' / 'videos' / '3.mp4').write_text('broken')
    config = run_config(folder / 'data', folder / 'work')
    config.dump(folder / 'config.py')
    run = script(folder / 'config.py', '--out', folder / 'cache', '--candidates', 12,
                 '--workers', 2)
    assert run.returncode == 0, run.stderr
    return folder, run.stdout


def test_script_caches_every_video_once_and_resumes(cached):
    folder, output = cached
    assert '9 videos, 0 of them cached before' in output
    assert '1 videos cannot be decoded and are copied as they are' in output
    assert '3.mp4' in output.split('copied as they are')[1]
    files = {path.name for path in (folder / 'cache').iterdir()}
    assert files == {'cache.json', *(f'{number}.mp4' for number in range(9))}
    (folder / 'cache' / '5.mp4').unlink()
    before = (folder / 'cache' / '4.mp4').stat().st_mtime_ns
    again = script(folder / 'config.py', '--out', folder / 'cache', '--candidates', 12)
    assert '9 videos, 8 of them cached before' in again.stdout
    assert (folder / 'cache' / '5.mp4').exists()
    assert (folder / 'cache' / '4.mp4').stat().st_mtime_ns == before


def test_a_folder_of_something_else_is_not_written_to(tmp_path):
    start_cache(tmp_path / 'cache', SETTINGS)
    start_cache(tmp_path / 'cache', SETTINGS)
    with pytest.raises(ValueError, match=r"'.*cache' is a cache made with .*'candidates': 9"):
        start_cache(tmp_path / 'cache', replace(SETTINGS, candidates=20))
    (tmp_path / 'used').mkdir()
    (tmp_path / 'used' / 'file').touch()
    with pytest.raises(ValueError, match='holds files and is no frame cache'):
        start_cache(tmp_path / 'used', SETTINGS)


def test_a_data_set_reads_the_cache_and_refuses_one_that_does_not_fit(cached):
    folder, _ = cached
    prefix = dict(video=str(folder / 'cache'))

    def build(test_mode=True, steps=None):
        return DATASETS.build(dataset_config(
            folder / 'data', test_mode=test_mode, data_prefix=prefix,
            pipeline=steps or pipeline(jitter=not test_mode)))
    original = DATASETS.build(dataset_config(folder / 'data', test_mode=True))[0]['inputs']
    read = build()[0]['inputs']
    assert read['frames'].shape == original['frames'].shape
    difference = (read['frames'].float() - original['frames'].float()).abs().mean()
    assert 0 < difference < 40  # noise, which JPEG keeps badly
    build(test_mode=False)[0]
    record = json.loads((folder / 'cache' / 'cache.json').read_text())
    assert record['candidates'] == 12
    steps = pipeline()
    steps[3] = dict(steps[3], size=48)
    with pytest.raises(ValueError, match='size is 32 there and 48 here'):
        build(steps=steps)
    with pytest.raises(ValueError, match='num_frames is 4 there and 3 here'):
        build(steps=pipeline(num_frames=3))
    with pytest.raises(ValueError, match='one SampleGridFrames'):
        build(steps=pipeline(sampling=dict(type='mmaction.UniformSample', clip_len=4)))
    steps[3] = dict(steps[3], size=32, keep_ratio=False)
    with pytest.raises(ValueError, match='keep_ratio is True there and False here'):
        build(steps=steps)
    path = folder / 'cache' / 'cache.json'
    try:
        first = {key: value for key, value in record.items()
                 if key not in ('interpolation', 'keep_ratio')}
        path.write_text(json.dumps(first))  # the first caches knew one way to resize
        build()
        path.write_text(json.dumps(dict(record, version=0)))
        with pytest.raises(ValueError, match='version is 0 there and 1 here'):
            build()
        for strange in ({'videos': 3}, dict(record, candidates='many')):
            path.write_text(json.dumps(strange))
            with pytest.raises(ValueError, match=r"cache\.json' is not the record of a frame"):
                build(test_mode=False)
        path.write_text(json.dumps(dict(record, candidates=5)))
        build()
        with pytest.raises(ValueError, match='too few to jitter 4 frames.*--candidates 12'):
            build(test_mode=False)
    finally:
        path.write_text(json.dumps(record))
