"""Damage is refused in strict mode and filled and reported in tolerant mode."""
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from mmc2v.datasets.transforms import BACKENDS, OpenVideo, VideoDecodeError

from .made_videos import sequential, write

GOP = 12


def damage_packet(path, number):
    """Zero the middle of one packet of a video; return the time of its frame."""
    with av.open(path) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][number]
        place, size, time = packet.pos, packet.size, float(packet.pts * packet.time_base)
    content = bytearray(Path(path).read_bytes())
    content[place + size // 4:place + size] = bytes(size - size // 4)
    Path(path).write_bytes(content)
    return time


@pytest.fixture
def video(tmp_path):
    return write(tmp_path / 'a.mp4', options={
        'bf': '0', 'x264-params': f'keyint={GOP}:min-keyint={GOP}:scenecut=0'},
        container_options={'movflags': 'faststart'})


def test_strict_reading_meets_damage_only_where_it_is(video):
    whole, _ = sequential(video)
    damage_packet(video, 14)  # the third of its group: the rest of the group refers to it
    reader = BACKENDS['pyav'](video)
    for number in (0, 13, 24, 59):
        assert np.array_equal(reader.read([number])[0], whole[number])
    for number in (14, 15, 23):
        with pytest.raises(VideoDecodeError, match=rf'a\.mp4 .*frame at {number / 25:.3f} s'):
            reader.read([number])
    with pytest.raises(VideoDecodeError, match='a.mp4'):
        reader.check()


def test_tolerant_reading_fills_from_the_nearest_and_reports(video):
    whole, _ = sequential(video)
    damage_packet(video, 14)
    reader = BACKENDS['pyav'](video, 0.5)
    found = reader.read([2, 13, 16, 20, 30])
    for image, expected in zip(found, (2, 13, 13, 24, 30)):
        assert np.array_equal(image, whole[expected])
    assert reader.damage.startswith('2 of 5 frames are filled from the nearest, 0.16 s away')
    reader = BACKENDS['pyav'](video, 0.5)
    reader.read([0, 40])
    assert reader.damage is None  # what is read is whole


def test_tolerant_reading_gives_up_past_its_limit(video):
    damage_packet(video, 14)
    with pytest.raises(VideoDecodeError, match='3 of 4 frames are damaged'):
        BACKENDS['pyav'](video, 0.5).read([2, 16, 18, 20])


def test_a_truncated_file_is_refused_or_reported_with_its_share(video):
    content = Path(video).read_bytes()
    Path(video).write_bytes(content[:len(content) * 3 // 4])
    with pytest.raises(VideoDecodeError, match=r'of 60 video packets are there'):
        BACKENDS['pyav'](video)
    reader = BACKENDS['pyav'](video, 0.5)
    assert 30 < len(reader.times) < 60
    assert 'of 60 video packets are there' in reader.damage
    Path(video).write_bytes(content[:len(content) // 3])
    with pytest.raises(VideoDecodeError, match='of 60 video packets'):
        BACKENDS['pyav'](video, 0.5)


@pytest.mark.parametrize('name', ['a.webm', 'a.mkv', 'a.avi'])
def test_truncation_shows_in_other_containers_too(name, tmp_path):
    codec = dict(webm='libvpx-vp9', mkv='libx264', avi='mpeg4')[name.split('.')[1]]
    path = Path(write(tmp_path / name, codec=codec, options={
        'cpu-used': '8', 'deadline': 'realtime'} if codec == 'libvpx-vp9' else ()))
    BACKENDS['pyav'](str(path)).check()
    content = path.read_bytes()
    path.write_bytes(content[:len(content) // 2])
    with pytest.raises(VideoDecodeError):
        BACKENDS['pyav'](str(path))


def test_options_of_the_transform_are_checked():
    with pytest.raises(ValueError, match=r'max_filled must lie in \(0, 1\), got 1'):
        OpenVideo(max_filled=1)
    with pytest.raises(ValueError, match="backend='decord' cannot tell"):
        OpenVideo(backend='decord', tolerant=True)


def steps_to_read(path, codec, pix_fmt, num_frames):
    """Count the lines of the library that reading all frames takes, and the files it opens.

    Every packet is a keyframe, and every third damaged.
    """
    write(path, codec, num_frames, 32, 96, pix_fmt=pix_fmt, options={'g': '1'})
    with av.open(path) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    content = bytearray(Path(path).read_bytes())
    for place, size in places[5::3]:
        content[place:place + size] = b'\xff' * size
    Path(path).write_bytes(content)
    lines, opened = 0, 0

    def trace(frame, event, argument):
        nonlocal lines, opened
        if 'mmc2v' not in frame.f_code.co_filename:
            return None
        lines += event == 'line'
        opened += event == 'call' and frame.f_code.co_name == 'open_container'
        return trace
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        reader = BACKENDS['pyav'](path, 0.9)
        reader.read(range(len(reader.times)))
    finally:
        sys.settrace(before)
    assert reader.damage
    return lines, opened


@pytest.mark.parametrize(('name', 'codec', 'pix_fmt'), [
    ('a.mp4', 'mpeg4', 'yuv420p'), ('a.mov', 'qtrle', 'rgb24')])
def test_many_faults_take_linear_time(name, codec, pix_fmt, tmp_path):
    (few, _), (many, opened) = (steps_to_read(str(tmp_path / name), codec, pix_fmt, number)
                                for number in (250, 750))
    assert many < 4 * few
    assert opened <= 250  # each of which reads the table of all packets
