"""Every kind of file is read exactly as decoding from the beginning reads it."""
import contextlib
import gc
import os
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from mmc2v.datasets.transforms import BACKENDS, DecodeFrames, OpenVideo, VideoDecodeError
from mmc2v.video import packet_index

from .made_videos import images, sequential, write

X265 = 'log-level=none:pools=1:frame-threads=1'
KINDS = {
    'h264 long gop': ('a.mp4', dict()),
    'h264 short gop': ('a.mp4', dict(options={'g': '5'})),
    'h264 all intra': ('a.mp4', dict(options={'g': '1'})),
    'h264 many b-frames, pyramid': ('a.mp4', dict(options={'bf': '8', 'x264-params':
                                                           'b-pyramid=normal:keyint=24'})),
    'h264 no b-frames': ('a.mp4', dict(options={'bf': '0', 'g': '20'})),
    'h264 open gop': ('a.mp4', dict(options={'bf': '3', 'x264-params':
                                             'open-gop=1:keyint=12:min-keyint=12:scenecut=0'})),
    'h264 intra refresh': ('a.mp4', dict(options={'x264-params':
                                                  'intra-refresh=1:keyint=20:bframes=0'})),
    'h264 interlaced': ('a.mp4', dict(options={'x264-params': 'tff=1:keyint=15', 'flags': '+ildct'},
                                      height=128)),
    'h264 transport stream': ('a.ts', dict(options={'g': '20'})),
    'h264 flv': ('a.flv', dict(options={'g': '20'})),
    'h264 avi': ('a.avi', dict(options={'g': '20'})),
    'h264 mkv': ('a.mkv', dict(options={'g': '20', 'bf': '3'})),
    'h264 fragmented mp4': ('a.mp4', dict(options={'g': '20'}, container_options={
        'movflags': 'frag_keyframe+empty_moov'})),
    'h264 10 bit': ('a.mp4', dict(pix_fmt='yuv420p10le', options={'g': '20'})),
    'h264 4:4:4': ('a.mp4', dict(pix_fmt='yuv444p', options={'g': '20'})),
    'h264 odd size': ('a.mp4', dict(pix_fmt='yuv444p', width=97, height=81)),
    'hevc': ('a.mp4', dict(codec='libx265', options={'x265-params': f'{X265}:keyint=20'})),
    'hevc open gop': ('a.mp4', dict(codec='libx265', options={
        'x265-params': f'{X265}:keyint=15:open-gop=1:bframes=4'})),
    'hevc temporal layers': ('a.mp4', dict(codec='libx265', options={
        'x265-params': f'{X265}:keyint=30:temporal-layers=3:bframes=7:b-pyramid=1'})),
    'hevc 10 bit': ('a.mp4', dict(codec='libx265', pix_fmt='yuv420p10le', options={
        'x265-params': f'{X265}:keyint=20'})),
    'vp9 webm': ('a.webm', dict(codec='libvpx-vp9', options={
        'g': '20', 'deadline': 'realtime', 'cpu-used': '8'})),
    'vp9 alternate references': ('a.webm', dict(codec='libvpx-vp9', options={
        'g': '30', 'auto-alt-ref': '1', 'lag-in-frames': '25', 'deadline': 'good',
        'cpu-used': '5'})),
    'vp8 invisible frames': ('a.webm', dict(codec='libvpx', options={
        'g': '30', 'auto-alt-ref': '1', 'lag-in-frames': '25', 'deadline': 'good',
        'cpu-used': '5'})),
    'av1': ('a.mp4', dict(codec='libsvtav1', options={
        'g': '20', 'preset': '10', 'svtav1-params': 'lp=1'})),
    'mpeg4 avi': ('a.avi', dict(codec='mpeg4', options={'g': '15'})),
    'mpeg4 avi b-frames': ('a.avi', dict(codec='mpeg4', options={'g': '15', 'bf': '2'})),
    'mpeg4 mp4 b-frames': ('a.mp4', dict(codec='mpeg4', options={'g': '15', 'bf': '2'})),
    'mpeg2': ('a.mpg', dict(codec='mpeg2video', options={'g': '12', 'bf': '2'})),
    'mjpeg avi': ('a.avi', dict(codec='mjpeg', pix_fmt='yuvj420p')),
    'wmv': ('a.wmv', dict(codec='wmv2', options={'g': '12'})),
    'one frame': ('a.mp4', dict(num_frames=1)),
    'two frames': ('a.mp4', dict(num_frames=2)),
    'one frame avi': ('a.avi', dict(codec='mpeg4', num_frames=1)),
}


def assert_exact(path, num_frames, rotation=0):
    frames, _ = sequential(path)
    reader = BACKENDS['pyav'](path)
    assert len(reader.times) == len(frames) == num_frames
    assert (np.diff(reader.times) > 0).all()
    reader.check()
    rng = np.random.default_rng(0)
    for indices in (range(num_frames), [num_frames - 1], [num_frames // 2, 0, num_frames // 2],
                    sorted(rng.integers(0, num_frames, 5))):
        for reading in (reader, BACKENDS['pyav'](path)):  # used before, and fresh
            found = reading.read(list(indices))
            assert len(found) == len(indices)
            for number, image in zip(indices, found):
                assert np.array_equal(image, np.rot90(frames[number], rotation)), number
    assert reader.damage is None
    return reader


@pytest.mark.parametrize('kind', KINDS)
def test_frames_are_those_of_sequential_decoding(kind, tmp_path):
    name, how = KINDS[kind]
    reader = assert_exact(write(tmp_path / name, **how), how.get('num_frames', 60))
    assert reader.duration == pytest.approx(how.get('num_frames', 60) / 25, abs=0.05)
    np.testing.assert_allclose(reader.times, np.arange(len(reader.times)) / 25, atol=2e-3)


# decord converts colours of interlaced and 10 bit video by another filter
@pytest.mark.parametrize('kind', [kind for kind, (name, _) in KINDS.items()
                                  if kind.startswith('h264') and name == 'a.mp4'
                                  and kind not in ('h264 interlaced', 'h264 10 bit')])
def test_h264_mp4_is_read_as_decord_reads_it(kind, tmp_path):
    name, how = KINDS[kind]
    path = write(tmp_path / name, **how)
    ours, theirs = (BACKENDS[backend](path) for backend in ('pyav', 'decord'))
    np.testing.assert_allclose(ours.times, theirs.times, atol=1e-5)
    assert ours.duration == pytest.approx(theirs.duration, abs=1e-5)
    # all frames: where frames are left out, decord errs on open groups of pictures
    for a, b in zip(ours.read(range(60)), theirs.read(range(60)), strict=True):
        assert np.array_equal(a, b)


def test_less_is_decoded_than_there_is(tmp_path, monkeypatch):
    """Jumping and skipping, not only the right result."""
    path = write(tmp_path / 'a.mp4', options={'g': '10', 'bf': '3'})
    reader = BACKENDS['pyav'](path)
    decoded = []
    whole = reader._decoder._whole
    monkeypatch.setattr(reader._decoder, '_whole', lambda frames, first_pts: (
        decoded.append(frame.pts) or frame for frame in whole(frames, first_pts)))
    reader.read([25, 55])
    assert len(decoded) < 12
    decoded.clear()
    reader.check()
    assert len(decoded) == 60


def test_variable_frame_rate(tmp_path):
    times = np.cumsum([0, *np.random.default_rng(0).integers(7, 180, 59)]).tolist()
    path = write(tmp_path / 'a.mkv', times=times, options={'g': '12'})
    reader = assert_exact(path, 60)
    np.testing.assert_allclose(reader.times, np.array(times) / 1000, atol=1e-6)


def test_edit_list_hides_what_it_cuts_off(tmp_path):
    """Frames before the first keyframe that is shown are decoded and not counted."""
    source = write(tmp_path / 'a.mp4', options={'g': '12', 'bf': '2'})
    path = str(tmp_path / 'cut.mp4')
    with av.open(source) as given, av.open(path, 'w') as cut:
        stream = given.streams.video[0]
        copy = cut.add_stream_from_template(stream)
        shift = round(17 / 25 / stream.time_base)
        for packet in given.demux(stream):
            if packet.dts is not None:
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                packet.stream = copy
                cut.mux(packet)  # negative times become an edit list
    reader = assert_exact(path, len(sequential(path)[0]))
    assert len(reader.times) in (43, 44)  # of 60; the frame at the cut may count
    original, _ = sequential(source)
    assert np.array_equal(reader.read([len(reader.times) - 1])[0], original[-1])
    assert np.array_equal(reader.read([0])[0], original[60 - len(reader.times)])


@pytest.mark.parametrize(('degrees', 'turns'), [(90, 1), (-90, 3), (180, 2)])
def test_phone_videos_stand_upright(degrees, turns, tmp_path):
    path = write(tmp_path / 'a.mp4', num_frames=12, rotation=degrees)
    reader = assert_exact(path, 12, turns)
    assert reader.read([0])[0].shape == ((96, 128, 3) if degrees == 180 else (128, 96, 3))
    plain = BACKENDS['pyav'](write(tmp_path / 'b.mp4', num_frames=12)).read([3])[0]
    assert np.array_equal(np.rot90(plain, turns), reader.read([3])[0])


def test_rotation_is_the_one_that_players_apply(tmp_path):
    """A display matrix turns counterclockwise by positive degrees: the top left corner shows."""
    path = write(tmp_path / 'a.mp4', num_frames=1, rotation=90)
    upright = next(iter(images(1)))
    shown = BACKENDS['pyav'](path).read([0])[0]
    errors = [np.abs(shown.astype(int) - np.rot90(upright, turns)).mean() for turns in (1, 3)]
    assert errors[0] < 10 < errors[1]


def test_a_large_file_is_not_held_in_memory(tmp_path, monkeypatch):
    path = write(tmp_path / 'a.mp4', options={'g': '10', 'bf': '2'})
    monkeypatch.setattr(packet_index, 'MAX_HELD_BYTES', 1000)
    reader = BACKENDS['pyav'](path)
    assert all(packet is None for packet in reader._index.packets)
    reader.read([5, 33])
    assert 0 < sum(packet is not None for packet in reader._index.packets) < 30
    for number, _ in reader.decode(range(60)):  # also where all of it is read
        held = [position for position, packet in enumerate(reader._index.packets) if packet]
        assert len(held) <= 10
        assert held[0] <= number <= held[-1]
    assert_exact(path, 60)


def test_cover_pictures_are_no_video(tmp_path):
    path = str(tmp_path / 'music.mkv')
    with av.open(path, 'w') as container:
        stream = container.add_stream('aac', rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), 'fltp', 'mono')
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(VideoDecodeError, match=r'music\.mkv cannot be decoded: there is no video'):
        BACKENDS['pyav'](path)


def test_colours_follow_the_tagged_matrix(tmp_path):
    """BT.709, as most HD video is tagged, gives other colours than BT.601."""
    for name, matrix in (('709', 'bt709'), ('601', 'smpte170m')):
        write(tmp_path / f'{name}.mp4', num_frames=3, options={
            'x264-params': f'colormatrix={matrix}', 'colorspace': matrix})
    ours, theirs = ([BACKENDS[backend](str(tmp_path / f'{name}.mp4')).read([1])[0]
                     for name in ('709', '601')] for backend in ('pyav', 'decord'))
    assert not np.array_equal(ours[0], ours[1])
    for a, b in zip(ours, theirs):
        assert np.array_equal(a, b)


class Threads(torch.utils.data.Dataset):
    """Says how many threads a worker uses."""

    def __init__(self, path):
        self.path = path

    def __len__(self):
        return 2

    def __getitem__(self, index):
        reader = BACKENDS['pyav'](self.path)
        reader.read([5])
        return torch.get_num_threads(), reader._stream.codec_context.thread_count


def test_a_worker_is_one_thread(tmp_path):
    loader = torch.utils.data.DataLoader(Threads(write(tmp_path / 'a.mp4')), num_workers=2,
                                         timeout=120)
    assert [[int(count) for count in item] for item in loader] == [[1, 1], [1, 1]]


def test_titles_of_any_encoding_are_no_obstacle(tmp_path):
    """In PyAV below 19 by an argument of av.open, which 19 does not take."""
    path = tmp_path / 'a.mp4'
    with av.open(str(path), 'w') as container:
        container.metadata['title'] = 'a caption in another code page'
        stream = container.add_stream('libx264', rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 96, 'yuv420p'
        for image in images(num_frames=10):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format='rgb24')))
        container.mux(stream.encode(None))
    content = path.read_bytes()
    assert content.count(b'another') == 1
    path.write_bytes(content.replace(b'another', b'\xe9\xe8\xff\xfe\x80\x81\xc3'))
    assert len(BACKENDS['pyav'](str(path)).read([0, 9])) == 2


def open_descriptors(path):
    """Return how often this process has a file open."""
    return sum(os.path.realpath(link) == path for link in Path('/proc/self/fd').iterdir())


@pytest.mark.parametrize(('damage', 'tolerant'), [(False, False), (True, False), (True, True)])
def test_files_are_closed_without_the_garbage_collector(damage, tolerant, tmp_path):
    path = write(str(tmp_path / 'a.wmv'), codec='wmv2', options={'g': '10'})
    if damage:
        content = bytearray(Path(path).read_bytes())
        content[len(content) // 2:len(content) // 2 + 400] = bytes(400)
        Path(path).write_bytes(content)
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            results = dict(filename=path)
            with contextlib.suppress(VideoDecodeError):
                results = OpenVideo(tolerant=tolerant).transform(results)
                results['frame_inds'] = [0, 1, 55]
                DecodeFrames().transform(results)
            assert open_descriptors(path) == 0
        reader = BACKENDS['pyav'](str(write(tmp_path / 'b.mp4', num_frames=5)))
        del reader  # an error between opening and decoding
        assert open_descriptors(str(tmp_path / 'b.mp4')) == 0
    finally:
        gc.enable()
