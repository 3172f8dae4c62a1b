"""A container may call packets keyframes that are none: frames are right nevertheless."""
from pathlib import Path

import numpy as np
import pytest

from mmc2v.datasets.transforms import BACKENDS, VideoDecodeError

from .made_videos import sequential, write
from .test_lost_keyframe import without

KINDS = {
    'mpeg4': dict(codec='mpeg4', options={'g': '30'}),
    'mpeg4 b-frames': dict(codec='mpeg4', options={'g': '30', 'bf': '2'}),
    'mpeg2': dict(codec='mpeg2video', options={'g': '30'}),
    'h264': dict(options={'g': '30', 'bf': '2'}),
    'hevc': dict(codec='libx265', options={
        'x265-params': 'log-level=none:pools=1:frame-threads=1:keyint=30'}),
    'vp9': dict(codec='libvpx-vp9', options={'g': '30', 'deadline': 'realtime', 'cpu-used': '8',
                                             'threads': '1'}),
}


def all_called_keyframes(path):
    """Take the table of keyframes out of an mp4; without it every packet is one."""
    content = Path(path).read_bytes()
    assert content.count(b'stss') == 1
    Path(path).write_bytes(content.replace(b'stss', b'skip'))
    return path


@pytest.mark.parametrize('max_filled', [0.0, 0.5])
@pytest.mark.parametrize('kind', KINDS)
def test_frames_are_right(kind, max_filled, tmp_path):
    path = write(str(tmp_path / 'a.mp4'), **KINDS[kind])
    frames, _ = sequential(path)
    all_called_keyframes(path)
    for numbers in ([5, 17, 44, 59], range(60)):
        reader = BACKENDS['pyav'](path, max_filled)
        for number, image in zip(numbers, reader.read(numbers), strict=True):
            assert np.array_equal(image, frames[number]), number
        assert reader.damage is None


def test_a_lost_keyframe_is_not_replaced_by_a_false_one(tmp_path):
    source = write(str(tmp_path / 'a.mp4'), codec='mpeg4', options={'g': '20'})
    frames, _ = sequential(source)
    path = all_called_keyframes(without(source, str(tmp_path / 'b.mp4'), {0}))
    with pytest.raises(VideoDecodeError, match='keyframe'):
        BACKENDS['pyav'](path).read([3])
    reader = BACKENDS['pyav'](path, 0.5)
    image, = reader.read([25])
    assert np.array_equal(image, frames[26])
