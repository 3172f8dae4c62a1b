"""Large frames are refused beyond a limit, and below it never all held."""
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mmc2v.datasets.transforms import (
    BACKENDS,
    DecodeFrames,
    OpenVideo,
    ResizeCenterCrop,
    VideoDecodeError,
    decoding,
)
from mmc2v.video.decoded_frames import DecodedFrames

from .made_videos import write


@pytest.mark.parametrize('backend', BACKENDS)
def test_more_pixels_than_allowed_are_refused_before_decoding(backend, tmp_path):
    path = write(tmp_path / 'a.mp4', num_frames=3)
    results = OpenVideo(backend, max_pixels=128 * 96).transform(dict(filename=path))
    assert results['total_frames'] == 3
    with pytest.raises(VideoDecodeError, match=r'128 x 96 pixels is beyond max_pixels=12287; '
                                               r'OpenVideo\(max_pixels=\.\.\.\)'):
        OpenVideo(backend, max_pixels=128 * 96 - 1).transform(dict(filename=path))
    with pytest.raises(ValueError, match='max_pixels must be at least 1, got 0'):
        OpenVideo(backend, max_pixels=0)


@pytest.mark.parametrize('max_filled', [0.0, 0.6])
def test_a_frame_that_grows_inside_a_stream_is_refused(max_filled, tmp_path):
    """The container says the size of the first."""
    small = Path(write(tmp_path / 'a.mjpeg', 'mjpeg', 5, 96, 128, pix_fmt='yuvj420p'))
    large = Path(write(tmp_path / 'b.mjpeg', 'mjpeg', 5, 192, 256, pix_fmt='yuvj420p'))
    path = tmp_path / 'c.mjpeg'
    path.write_bytes(small.read_bytes() + large.read_bytes())
    assert BACKENDS['pyav'](str(path)).read([9])[0].shape == (192, 256, 3)
    reader = BACKENDS['pyav'](str(path), max_filled, 128 * 96)
    if max_filled:
        assert {image.shape for image in reader.read(range(10))} == {(96, 128, 3)}
        assert reader.damage.startswith('5 of 10 frames are filled')
    else:
        with pytest.raises(VideoDecodeError):
            reader.read([9])


def steps(path, backend, numbers, tolerant=False):
    results = OpenVideo(backend, tolerant).transform(dict(filename=path, frame_inds=numbers))
    return DecodeFrames().transform(results)


@pytest.mark.parametrize('backend', BACKENDS)
def test_frames_that_are_not_held_are_the_same(backend, tmp_path, monkeypatch):
    path = write(tmp_path / 'a.mp4', num_frames=30, options={'g': '8'})
    numbers = [20, 3, 3, 29]
    held = steps(path, backend, numbers)
    assert isinstance(held['imgs'], list)
    monkeypatch.setattr(decoding, '_MAX_HELD_BYTES', 0)
    single = steps(path, backend, numbers)
    assert isinstance(single['imgs'], DecodedFrames)
    assert len(single['imgs']) == 4
    assert single['img_shape'] == held['img_shape'] == (96, 128)
    for a, b in zip(ResizeCenterCrop(64).transform(single)['imgs'],
                    ResizeCenterCrop(64).transform(held)['imgs'], strict=True):
        assert np.array_equal(a, b)
    for a, b in zip(steps(path, backend, numbers)['imgs'],  # as other transforms take them
                    steps(path, backend, numbers)['imgs'][:], strict=True):
        assert np.array_equal(a, b)


def test_damage_is_known_when_frames_have_been_taken(tmp_path, monkeypatch):
    from .test_damaged_videos import damage_packet
    monkeypatch.setattr(decoding, '_MAX_HELD_BYTES', 0)
    path = write(tmp_path / 'a.mp4', options={'bf': '0', 'g': '12'})
    damage_packet(path, 14)
    results = ResizeCenterCrop(96).transform(steps(path, 'pyav', [2, 13, 16, 30], tolerant=True))
    assert results['damage'].startswith('1 of 4 frames are filled')
    assert np.array_equal(results['imgs'][2], results['imgs'][1])
    with pytest.raises(VideoDecodeError):
        ResizeCenterCrop(96).transform(steps(path, 'pyav', [2, 16]))


def test_memory_is_bounded_by_few_frames(tmp_path):
    """14 frames of 4K are 332 MiB."""
    path = write(tmp_path / 'a.mp4', num_frames=14, height=2160, width=3840,
                 options={'preset': 'ultrafast', 'g': '16'})
    code = f'''
import resource
from mmc2v.datasets.transforms import DecodeFrames, OpenVideo, ResizeCenterCrop
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
results = OpenVideo().transform(dict(filename={str(path)!r}, frame_inds=list(range(14))))
images = ResizeCenterCrop().transform(DecodeFrames().transform(results))['imgs']
assert len(images) == 14
print(peak() - before)
'''
    output = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True,
                            check=True)
    assert int(output.stdout.split()[-1]) < 220 * 1024  # kB
