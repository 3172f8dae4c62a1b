"""Kept videos are the same videos, and take no more memory than they may."""
from pathlib import Path

import numpy as np
import pytest

from mmc2v.datasets.transforms import DecodeFrames, OpenVideo, VideoDecodeError
from mmc2v.synthetic.writing import write_video
from mmc2v.video import KeptVideos, PyAVReader

FRAME_BYTES = 16 * 16 * 3


@pytest.fixture
def path(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), dtype=np.uint8)
    write_video(tmp_path / 'a.mp4', frames)
    return str(tmp_path / 'a.mp4')


def frames_of(transform, path, numbers):
    results = transform.transform(dict(filename=path))
    return DecodeFrames().transform(dict(results, frame_inds=np.array(numbers)))['imgs']


def test_a_kept_video_reads_like_the_file_and_is_opened_once(path, monkeypatch):
    plain = OpenVideo()
    expected = {numbers: frames_of(plain, path, numbers) for numbers in ((0, 5), (3, 3, 1))}
    of_file = plain.transform(dict(filename=path))
    kept = OpenVideo(keep_gb=0.001)
    kept.transform(dict(filename=path))

    def not_again(*args, **kwargs):
        raise AssertionError('opened again')
    monkeypatch.setitem(OpenVideo._open.__globals__['BACKENDS'], 'pyav', not_again)
    for numbers, frames in expected.items():
        assert np.array_equal(frames_of(kept, path, numbers), frames)
    of_memory = kept.transform(dict(filename=path))
    for key in ('duration', 'total_frames', 'start_index'):
        assert of_memory[key] == of_file[key]
    assert np.array_equal(of_memory['frame_times'], of_file['frame_times'])


def test_a_transform_that_changes_images_changes_no_later_epoch(path):
    kept = OpenVideo(keep_gb=0.001)
    before = [image.copy() for image in frames_of(kept, path, [0, 1])]
    for image in frames_of(kept, path, [0, 1]):
        image[:] = 0
    assert np.array_equal(frames_of(kept, path, [0, 1]), before)


@pytest.mark.parametrize(('num_frames', 'is_kept'), [(6, True), (5.99, False)])
def test_a_video_that_does_not_fit_is_opened_each_time(path, num_frames, is_kept):
    opened = []
    videos = KeptVideos(int(num_frames * FRAME_BYTES))
    for _ in range(3):
        reader = videos.open(path, lambda: opened.append(path) or PyAVReader(path))
        assert len(reader.read([4, 0])) == 2
        reader.close()
    assert len(opened) == (1 if is_kept else 4)  # the first time to see that it does not fit
    assert videos.num_bytes == (6 * FRAME_BYTES if is_kept else 0)


def test_damage_is_reported_in_every_epoch(path, tmp_path):
    damaged = tmp_path / 'damaged.mp4'
    content = bytearray(Path(path).read_bytes())
    start = content.index(b'mdat') + 2200
    content[start:start + 300] = bytes(300)
    damaged.write_bytes(content)
    kept = OpenVideo(tolerant=True, keep_gb=0.001)
    reports = []
    for _ in range(2):
        results = kept.transform(dict(filename=str(damaged)))
        results = DecodeFrames().transform(dict(results, frame_inds=np.arange(6)))
        reports.append(results['damage'])
    assert reports[0] == reports[1]
    with pytest.raises(VideoDecodeError, match='damaged'):
        frames_of(OpenVideo(keep_gb=0.001), str(damaged), range(6))


def test_room_is_not_negative():
    with pytest.raises(ValueError, match='keep_gb must not be negative, got -1'):
        OpenVideo(keep_gb=-1)
