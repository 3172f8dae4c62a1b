"""What a container promises and does not hold is missed, and nothing else."""
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from mmc2v.datasets.transforms import BACKENDS, VideoDecodeError
from mmc2v.video.asf import asf_properties
from mmc2v.video.complaints import complaints_of
from mmc2v.video.declared_size import lost_bytes

from .made_videos import images, write
from .test_lost_keyframe import without

VP8 = dict(codec='libvpx', options={'deadline': 'realtime', 'threads': '1'})
PROPERTIES = bytes.fromhex('a1dcab8c47a9cf118ee400c00c205365')  # of ASF
DATA = bytes.fromhex('3626b2758e66cf11a6d900aa0062ce6c')
KINDS = {
    'wmv2': ('a.wmv', dict(codec='wmv2')),
    'flv1': ('a.flv', dict(codec='flv')),
    'h264 flv': ('b.flv', dict(options={'bf': '0'})),
    'vp8 ogg': ('a.ogv', VP8),
    'vp8 webm': ('a.webm', VP8),
    'vp9 webm': ('b.webm', dict(codec='libvpx-vp9', options={'deadline': 'realtime',
                                                            'cpu-used': '8'})),
    'mpeg4 avi': ('a.avi', dict(codec='mpeg4')),
}


def cut_before(path, number):
    """Cut a file off where a packet begins, so that nothing of it is left."""
    with av.open(path) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        place = packets[number].pos
    content = Path(path).read_bytes()
    if path.endswith('.ogv'):
        place = content.rindex(b'OggS', 0, place + 4)
    Path(path).write_bytes(content[:place])
    return path


@pytest.mark.parametrize('kind', KINDS)
def test_what_is_cut_off_between_packets_is_missed(kind, tmp_path):
    name, how = KINDS[kind]
    path = write(str(tmp_path / name), **how)
    assert BACKENDS['pyav'](path).damage is None
    cut_before(path, 55)
    with pytest.raises(VideoDecodeError):
        BACKENDS['pyav'](path).read([0])
    reader = BACKENDS['pyav'](path, 0.5)
    assert len(reader.read([0, len(reader.times) - 1])) == 2
    assert 'video packets are there' in reader.damage
    if kind != 'vp8 ogg':  # which says that it ends too early and not by how much
        cut_before(path, 11)
        with pytest.raises(VideoDecodeError, match='video packets are there'):
            BACKENDS['pyav'](path, 0.5)


def test_a_lost_page_of_ogg_is_missed(tmp_path):
    path = tmp_path / 'a.ogv'
    write(path, container_options={'page_duration': '40000'}, **VP8)
    content = path.read_bytes()
    pages = [place for place in range(len(content)) if content.startswith(b'OggS', place)]
    assert len(pages) > 10
    path.write_bytes(content[:pages[6]] + content[pages[8]:])
    with pytest.raises(VideoDecodeError, match='pages of the file are lost'):
        BACKENDS['pyav'](str(path))
    assert 'pages of the file are lost' in BACKENDS['pyav'](str(path), 0.5).damage


def read_every(path, step):
    reader = BACKENDS['pyav'](path)
    return reader.read(range(0, len(reader.times), step))


@pytest.mark.parametrize('kind', ['wmv2', 'flv1', 'h264 flv', 'vp8 webm', 'vp9 webm', 'h264 mkv',
                                  'h264 wmv'])
@pytest.mark.parametrize('way', ['cut out', 'overwritten'])
@pytest.mark.parametrize('place', [0.3, 0.5])
def test_bytes_lost_in_the_middle_are_missed(kind, way, place, tmp_path):
    """Also where all that is left decodes: what is lost would look like a picture that stands."""
    all_keyframes = dict(options={'g': '1', 'bf': '0'})
    name, how = {**KINDS, 'h264 mkv': ('a.mkv', all_keyframes),
                 'h264 wmv': ('b.wmv', all_keyframes)}[kind]
    path = Path(write(str(tmp_path / name), **how))
    content = path.read_bytes()
    begin = int(place * len(content))
    end = begin + len(content) // 5
    path.write_bytes(content[:begin] + content[end:] if way == 'cut out' else
                     content[:begin] + bytes(end - begin) + content[end:])
    with pytest.raises(VideoDecodeError):
        read_every(str(path), 12)
    if kind not in ('wmv2', 'flv1'):  # of those, frames that are not whole may be more
        reader = BACKENDS['pyav'](str(path), 0.95)
        assert reader.damage is not None


def packet_places(path):
    with av.open(path) as container:
        return [packet.pos for packet in container.demux(video=0) if packet.size]


def write_all_keyframes(path, **how):
    return write(str(path), **{**dict(options={'g': '1', 'bf': '0'}), **how})


@pytest.mark.parametrize('name', ['a.mkv', 'a.webm', 'a.flv'])
def test_whole_clusters_and_tags_that_are_lost_are_missed(name, tmp_path):
    """What is left makes sense to the demuxer; the file is shorter than it says."""
    path = tmp_path / name
    how = {'a.mkv': dict(container_options={'cluster_time_limit': '400'}), 'a.flv': {},
           'a.webm': dict(VP8, options={**VP8['options'], 'g': '1'},
                          container_options={'cluster_time_limit': '400'})}[name]
    write_all_keyframes(path, **how)
    content = path.read_bytes()
    places = packet_places(str(path))[20:31:10]
    if name != 'a.flv':
        cluster = bytes.fromhex('1f43b675')
        places = [content.rindex(cluster, 0, place) for place in places]
    path.write_bytes(content[:places[0]] + content[places[1]:])
    with pytest.raises(VideoDecodeError, match=f'{places[1] - places[0]} bytes of the file are'):
        BACKENDS['pyav'](str(path))
    assert 'bytes of the file are lost' in BACKENDS['pyav'](str(path), 0.5).damage


@pytest.mark.parametrize(('name', 'size'), [
    ('a.mkv', bytes.fromhex('01fffffffffffffe')), ('a.flv', struct.pack('>d', 1e300)),
    ('a.flv', struct.pack('>d', float('inf'))), ('a.flv', struct.pack('>d', float('nan')))])
def test_a_wrong_size_alone_is_no_loss(name, size, tmp_path):
    path = tmp_path / name
    write(path)
    content = bytearray(path.read_bytes())
    before = {'a.mkv': bytes.fromhex('18538067'), 'a.flv': b'filesize\0'}[name]
    place = content.index(before) + len(before)
    content[place:place + 8] = size
    path.write_bytes(content)
    assert len(BACKENDS['pyav'](str(path)).times) == 60


@pytest.mark.parametrize('content', [
    b'', bytes.fromhex('18538067'), bytes.fromhex('1853806700'), bytes.fromhex('1853806701ff'),
    b'\0\x08filesize\0', b'\0\x08filesize\0\x40'])
@pytest.mark.parametrize('formats', [['matroska', 'webm'], ['flv'], ['mp4']])
def test_sizes_in_broken_headers(content, formats, tmp_path):
    (tmp_path / 'a').write_bytes(content)
    assert 0 <= lost_bytes(str(tmp_path / 'a'), formats) < 2 ** 56


PROMISING = [('a.mxf', dict(codec='mpeg2video')),
             ('a.mxf', dict(codec='prores', pix_fmt='yuv422p10le')), ('a.nut', {}), ('a.nut', VP8),
             ('a.rm', dict(codec='rv20')), ('a.wtv', dict(codec='mpeg2video'))]


# of rm the demuxer goes on behind what is cut out, and nothing says so
@pytest.mark.parametrize(('name', 'how', 'way'), [
    (name, how, way) for name, how in PROMISING for way in ('cut off', 'cut out', 'overwritten')
    if (name, way) != ('a.rm', 'cut out')])
def test_mxf_nut_rm_and_wtv_promise_something_too(name, how, way, tmp_path):
    path = Path(write(str(tmp_path / name), **how))
    assert len(BACKENDS['pyav'](str(path)).times) == 60
    places, content = packet_places(str(path)), path.read_bytes()
    begin, end = places[20], places[40]
    path.write_bytes({'cut off': content[:end], 'cut out': content[:begin] + content[end:],
                      'overwritten': content[:begin] + bytes(end - begin) + content[end:]}[way])
    with pytest.raises(VideoDecodeError):
        read_every(str(path), 1)


def test_an_mxf_file_whose_header_was_written_before_the_end(tmp_path):
    path = Path(write(str(tmp_path / 'a.mxf'), codec='mpeg2video'))
    assert len(BACKENDS['pyav'](str(path)).times) == 60
    written = bytearray()
    with av.open(Unseekable(written), 'w', format='mxf') as container:
        stream = container.add_stream('mpeg2video', rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 96, 'yuv420p'
        for image in images(60):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, 'rgb24')))
        container.mux(stream.encode())
    path.write_bytes(written)
    with av.open(str(path)) as container:
        assert container.duration is None
    assert len(BACKENDS['pyav'](str(path)).times) == 60


class Unseekable:
    """A pipe."""

    def __init__(self, written):
        self.written = written

    def write(self, data):
        self.written += bytes(data)
        return len(data)


def test_what_breaks_off_is_missed_where_nothing_says_how_long_it_is(tmp_path):
    """The index of nut is at its end: what would have followed is not known."""
    path = cut_before(write(str(tmp_path / 'a.nut')), 40)
    with pytest.raises(VideoDecodeError, match='40 of 41 video packets are there'):
        BACKENDS['pyav'](path)
    reader = BACKENDS['pyav'](path, 0.5)
    assert len(reader.read(range(38))) == 38
    assert 'after 40 packets' in reader.damage


def replaced(path, old, new):
    content = Path(path).read_bytes()
    assert content.count(old) == 1
    Path(path).write_bytes(content.replace(old, new))
    return path


def test_what_a_demuxer_says_of_all_but_the_video_is_no_loss(tmp_path):
    path = write(tmp_path / 'a.flv', container_options={'flvflags': 'add_keyframe_index'})
    replaced(path, b'filepositions', b'filepositionz')
    assert BACKENDS['pyav'](path).damage is None
    path = str(tmp_path / 'a.mkv')
    with av.open(path, 'w') as container:
        stream = container.add_stream('libx264', rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 96, 'yuv420p'
        container.add_attachment('a.ttf', 'font/ttf', b'font')
        container.set_chapters([dict(id=number + 1, start=number, end=number + 1,
                                     time_base=Fraction(1), metadata={}) for number in range(2)])
        for image in images(60):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, 'rgb24')))
        container.mux(stream.encode())
    replaced(path, b'\x46\x60\x88font/ttf', b'\xec\x40\x08font/ttf')  # no kind
    replaced(path, b'\x92\x84' + (2 * 10 ** 9).to_bytes(4, 'big'), b'\x92\x84\0\0\0\1')  # ends
    with complaints_of('matroska,webm') as complaints:
        av.open(path).close()
    assert len(complaints) == 2
    assert BACKENDS['pyav'](path).damage is None


def test_packets_of_asf_need_not_begin_alike(tmp_path):
    """Only those with bytes for correcting errors do."""
    size = 300
    header = PROPERTIES + bytes(72) + struct.pack('<3I', 0, size, size)
    for first, lost in ((b'\x82\x82', 0), (b'\x82\0', 1), (b'\x09\x11', 0)):
        packets = b''.join(bytes([byte]) + bytes(size - 1) for byte in first)
        content = header + DATA + struct.pack('<Q', 50 + len(packets)) + bytes(26) + packets
        content = bytearray(content)
        content[40:48] = struct.pack('<Q', len(content))
        content[56:64] = struct.pack('<Q', 2)
        (tmp_path / 'a.wmv').write_bytes(content)
        assert asf_properties(str(tmp_path / 'a.wmv')).lost_packets == lost


@pytest.mark.parametrize('content', [
    b'', PROPERTIES, PROPERTIES + b'\xff' * 71 + b'\0' + b'\xff' * 99,
    PROPERTIES + bytes(72) + b'\1\0\0\0' * 3 + DATA + b'\xff' * 99])
def test_headers_of_asf_are_not_believed(content, tmp_path):
    (tmp_path / 'a.wmv').write_bytes(content)
    assert asf_properties(str(tmp_path / 'a.wmv')).lost_packets >= 0


def test_a_gap_is_missed_where_the_format_has_a_constant_rate(tmp_path):
    source = write(str(tmp_path / 'a.mpg'), codec='mpeg1video')
    path = without(source, str(tmp_path / 'b.mpg'), set(range(11, 50)))
    with pytest.raises(VideoDecodeError, match='21 of 60 video packets are there'):
        BACKENDS['pyav'](path, 0.5)


def test_filling_is_limited_where_frames_are_the_index(tmp_path):
    path = write(str(tmp_path / 'a.wmv'), codec='wmv2', options={'g': '10'})
    with av.open(path) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    content = bytearray(Path(path).read_bytes())
    for packet in packets[3:]:
        inside = bytes(packet)[1:-1]
        place = content.find(inside)
        if place >= 0:  # not in two pieces
            content[place:place + len(inside)] = bytes(len(inside))
    Path(path).write_bytes(content)
    with pytest.raises(VideoDecodeError, match='others cannot be decoded'):
        BACKENDS['pyav'](path, 0.5)


STILL = [40 * number + 5000 * (number >= 20) + 9000 * (number >= 40) for number in range(60)]


@pytest.mark.parametrize(('name', 'how'), [
    ('a.mkv', {}), ('a.webm', VP8), ('a.flv', {}), ('a.wmv', dict(codec='wmv2'))])
def test_a_picture_that_stands_still_is_whole(name, how, tmp_path):
    reader = BACKENDS['pyav'](write(str(tmp_path / name), times=STILL, **how))
    assert reader.damage is None
    assert len(reader.read(range(60))) == 60
    assert reader.times[20] - reader.times[19] == pytest.approx(5.04, abs=0.01)


@pytest.mark.parametrize('extension', ['mkv', 'flv', 'nut'])
def test_a_file_written_without_some_packets_is_one_whose_picture_stands_still(extension, tmp_path):
    source = write_all_keyframes(tmp_path / f'a.{extension}')
    reader = BACKENDS['pyav'](without(source, str(tmp_path / f'b.{extension}'), set(range(20, 40))))
    assert reader.damage is None
    assert len(reader.read(range(40))) == 40
    assert reader.times[20] - reader.times[19] == pytest.approx(0.84, abs=0.01)


def with_sound(path, codec, audio_codec, seconds, **options):
    """Write 20 frames and more seconds of silence."""
    with av.open(path, 'w') as container:
        video = container.add_stream(codec, rate=25, **options)
        video.width, video.height, video.pix_fmt = 64, 64, 'yuv420p'
        audio = container.add_stream(audio_codec, rate=48000, layout='mono')
        for number in range(20):
            image = np.full((64, 64, 3), 10 * number, np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, 'rgb24')))
        container.mux(video.encode())
        size = audio.codec_context.frame_size or 960
        for number in range(seconds * 48000 // size):
            layout = audio.codec_context.format.name
            kind = np.float32 if layout.startswith('flt') else np.int16
            frame = av.AudioFrame.from_ndarray(np.zeros((1, size), kind), layout, 'mono')
            frame.sample_rate, frame.pts = 48000, number * size
            container.mux(audio.encode(frame))
        container.mux(audio.encode())
    return path


@pytest.mark.parametrize(('name', 'codec', 'audio_codec'), [
    ('a.mkv', 'libx264', 'aac'), ('a.webm', 'libvpx', 'libopus'), ('a.mp4', 'libx264', 'aac'),
    ('a.flv', 'libx264', 'aac'), ('a.wmv', 'wmv2', 'mp2'), ('a.avi', 'mpeg4', 'mp2')])
@pytest.mark.parametrize('tag', [True, False])
def test_sound_may_be_longer(name, codec, audio_codec, tag, tmp_path):
    path = Path(with_sound(str(tmp_path / name), codec, audio_codec, 8))
    if not tag:  # a container need not say how long each stream is
        path.write_bytes(path.read_bytes().replace(b'DURATION', b'DURATIOM'))
    reader = BACKENDS['pyav'](str(path))
    assert reader.damage is None
    assert len(reader.read(range(20))) == 20


@pytest.mark.parametrize('name', ['a.mkv', 'a.flv'])
def test_live_recordings_have_no_duration(name, tmp_path):
    live = {'live': '1'} if name == 'a.mkv' else {'flvflags': 'no_duration_filesize'}
    reader = BACKENDS['pyav'](write(str(tmp_path / name), container_options=live))
    assert reader.damage is None
    assert len(reader.times) == 60
    cut_before(str(tmp_path / name), 41)  # nothing says that it was longer
    assert len(BACKENDS['pyav'](str(tmp_path / name)).times) >= 35


def test_a_broadcast_has_no_duration(tmp_path):
    """FFmpeg estimates one from the bit rate then."""
    path = Path(write(str(tmp_path / 'a.wmv'), codec='wmv2'))
    content = bytearray(path.read_bytes())
    place = content.index(bytes.fromhex('a1dcab8c47a9cf118ee400c00c205365'))
    content[place + 88] |= 1
    path.write_bytes(content)
    cut_before(str(path), 30)
    assert BACKENDS['pyav'](str(path)).damage is None
