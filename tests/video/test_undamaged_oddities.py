"""Files that are whole, and look as if they were not."""
import av
import numpy as np
import pytest

from mmc2v.search.frames import ClipFrames
from mmc2v.video import BACKENDS, VideoDecodeError

from ..tiny import pipeline
from .made_videos import images, sequential, write


def write_streams(path, codec, delay=0.0, sound='aac', tracks=1, default=0):
    """Write 60 frames of each track from some seconds on, and sound from the beginning on."""
    with av.open(str(path), 'w') as container:
        videos = [container.add_stream(codec, rate=25) for _ in range(tracks)]
        for number, video in enumerate(videos):
            video.width, video.height, video.pix_fmt = 128, 96, 'yuv420p'
            video.disposition = av.stream.Disposition.default if number == default else 0
        audio = container.add_stream(sound, rate=48000, layout='mono')
        for number in range(240):
            layout, size = audio.codec_context.format.name, audio.codec_context.frame_size or 1024
            kind = np.float32 if layout.startswith('flt') else np.int16
            frame = av.AudioFrame.from_ndarray(np.zeros((1, size), kind), layout, 'mono')
            frame.sample_rate, frame.pts = 48000, number * size
            container.mux(audio.encode(frame))
        for track, video in enumerate(videos):
            for number, image in enumerate(images(seed=track)):
                frame = av.VideoFrame.from_ndarray(image, 'rgb24')
                frame.pts = number + round(delay * 25)
                container.mux(video.encode(frame))
            container.mux(video.encode())
        container.mux(audio.encode())
    return str(path)


@pytest.mark.parametrize(('name', 'codec', 'sound'), [
    ('a.mp4', 'libx264', 'aac'), ('a.mov', 'libx264', 'aac'), ('a.mkv', 'libx264', 'aac'),
    ('a.webm', 'libvpx', 'libopus'), ('a.flv', 'libx264', 'aac'), ('a.ts', 'libx264', 'aac')])
def test_moments_are_of_the_time_that_players_show(name, codec, sound, tmp_path):
    """The sound begins two seconds before the picture."""
    path = write_streams(tmp_path / name, codec, 2.0, sound)
    for backend in BACKENDS.values():
        assert backend(path).delay == pytest.approx(2.0, abs=0.06)
    reader = BACKENDS['pyav'](path)
    assert reader.times[0] == 0
    clips = next(ClipFrames(pipeline(), 1.0, 0.5).read(path))
    assert clips.spans[0] == pytest.approx([2.0, 3.0], abs=0.06)
    assert clips.duration == pytest.approx(4.4, abs=0.06)


@pytest.mark.parametrize('name', ['a.mp4', 'a.mkv', 'a.avi', 'a.ts'])
def test_what_begins_with_the_picture_has_no_delay(name, tmp_path):
    path = write(tmp_path / name, 'mpeg4')
    assert {backend(path).delay for backend in BACKENDS.values()} == {0.0}


def test_the_default_track_is_read(tmp_path):
    path = write_streams(tmp_path / 'a.mkv', 'libx264', tracks=2, default=1)
    image, = BACKENDS['pyav'](path).read([30])
    expected = list(images(seed=1))[30]
    assert np.abs(image.astype(int) - expected).mean() < 8


def test_an_avi_whose_header_was_never_completed_is_whole(tmp_path):
    """As of one that is written into a pipe, or by a recorder that lost its power."""
    path = tmp_path / 'a.avi'
    write(path, 'mpeg4')
    content = bytearray(path.read_bytes())
    for place in (content.index(b'avih') + 8 + 16, content.index(b'strh') + 8 + 32):
        assert content[place:place + 4] == (60).to_bytes(4, 'little')
        content[place:place + 4] = (0x40000000).to_bytes(4, 'little')
    path.write_bytes(content)
    reader = BACKENDS['pyav'](str(path))
    assert (len(reader.read(range(60))), reader.damage) == (60, None)


def test_empty_chunks_of_an_avi_show_a_frame_longer(tmp_path):
    path = tmp_path / 'a.avi'
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('mpeg4', rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 96, 'yuv420p'
        for number, image in enumerate(images(20)):
            frame = av.VideoFrame.from_ndarray(image, 'rgb24')
            frame.pts = 3 * number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames > 50
    reader = BACKENDS['pyav'](str(path))
    assert (len(reader.read(range(20))), reader.damage) == (20, None)
    assert np.diff(reader.times) == pytest.approx(0.12)


@pytest.mark.parametrize('codec', ['mpeg1video', 'mpeg2video'])
def test_program_streams_name_the_times_of_some_frames(codec, tmp_path):
    """FFmpeg guesses the others, sometimes one frame ahead or behind."""
    path = write(tmp_path / 'a.mpg', codec, num_frames=600, height=48, width=64)
    frames, _ = sequential(path)
    reader = BACKENDS['pyav'](path)
    assert np.diff(reader.times) == pytest.approx(0.04)
    wanted = [0, 1, 131, 132, 133, 384, 385, 386, 598, 599]
    for number, image in zip(wanted, reader.read(wanted)):
        assert np.array_equal(image, frames[number])
    assert reader.damage is None


@pytest.mark.parametrize(('name', 'codec'), [('a.ts', 'libx264'), ('a.mpg', 'mpeg2video')])
def test_of_recordings_that_were_joined_the_first_is_read(name, codec, tmp_path):
    """As by a recorder, or by cat: what follows has the times of what comes first."""
    first = write(tmp_path / name, codec, num_frames=100)
    frames, _ = sequential(first)
    second = write(tmp_path / f'b{name}', codec, num_frames=50, height=64)
    with open(first, 'ab') as file, open(second, 'rb') as more:
        file.write(more.read())
    with pytest.raises(VideoDecodeError, match='times begin anew: it is of several recordings'):
        BACKENDS['pyav'](first)
    reader = BACKENDS['pyav'](first, 0.9)
    assert reader.duration == pytest.approx(4, abs=0.1)
    for number, image in zip((0, 50, 90), reader.read([0, 50, 90])):
        assert np.array_equal(image, frames[number])  # the last packet met the second recording
    assert 'times begin anew' in reader.damage
