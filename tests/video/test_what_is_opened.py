"""Regular files that hold videos are opened, and nothing else that FFmpeg would open."""
import os
import socket

import pytest
from PIL import Image

from mmc2v.datasets.transforms import BACKENDS, VideoDecodeError

from .made_videos import write

CONCAT = 'ffconcat version 1.0\nfile a.mp4\n'
PLAYLIST = '#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:2.4,\na.mp4\n#EXT-X-ENDLIST\n'
pytestmark = pytest.mark.parametrize('backend', sorted(BACKENDS))


@pytest.fixture(autouse=True)
def _folder_with_a_video(tmp_path, monkeypatch):
    """Relative names would find it."""
    monkeypatch.chdir(tmp_path)
    write('a.mp4', num_frames=12)


@pytest.mark.parametrize(('name', 'content'), [
    ('script.mp4', CONCAT), ('script.txt', CONCAT), ('list.mp4', PLAYLIST), ('list.m3u8', PLAYLIST),
    ('itself.mp4', 'ffconcat version 1.0\nfile itself.mp4\n'),
    ('text.mp4', 'some words ' * 500), ('text.nfo', 'some words ' * 500),
])
def test_text_of_any_name_is_refused(name, content, backend, tmp_path):
    (tmp_path / name).write_text(content)
    with pytest.raises(VideoDecodeError, match=f'{name} cannot be decoded'):
        BACKENDS[backend](name)


def test_patterns_of_images_are_refused(backend, tmp_path):
    for number in range(3):
        Image.new('RGB', (64, 64)).save(tmp_path / f'other_{number:03d}.png')
    with pytest.raises(VideoDecodeError, match='No such file'):
        BACKENDS[backend]('other_%03d.png')
    (tmp_path / 'other_%03d.png').write_bytes((tmp_path / 'other_000.png').read_bytes())
    with pytest.raises(VideoDecodeError):
        BACKENDS[backend]('other_%03d.png')


@pytest.mark.parametrize('name', ['subfile:,,start,0,end,0,,:a.mp4', 'async:a.mp4', 'file:a.mp4',
                                  'concat:a.mp4|a.mp4'])
def test_protocols_are_names_of_files(name, backend):
    with pytest.raises(VideoDecodeError, match='No such file'):
        BACKENDS[backend](name)


def test_nothing_is_connected_to(backend):
    with socket.create_server(('127.0.0.1', 0)) as server:
        server.settimeout(0.2)
        for protocol in ('http', 'tcp'):
            with pytest.raises(VideoDecodeError, match='No such file'):
                BACKENDS[backend](f'{protocol}://127.0.0.1:{server.getsockname()[1]}/a.mp4')
        with pytest.raises(TimeoutError):
            server.accept()


def test_pipes_and_folders_are_refused_at_once(backend, tmp_path):
    os.mkfifo(tmp_path / 'pipe.mp4')
    for name in ('pipe.mp4', '.'):
        with pytest.raises(VideoDecodeError, match='no regular file'):
            BACKENDS[backend](name)


@pytest.mark.parametrize('name', ['http:__a.mp4', 'a%03d.mp4', 'a b ü.mp4', '-i.mp4', 'a#?.mp4'])
def test_odd_names_and_links_are_read(name, backend, tmp_path):
    os.link('a.mp4', name)
    os.symlink(tmp_path / name, 'link.mp4')
    for path in (name, 'link.mp4', str(tmp_path / name)):
        reader = BACKENDS[backend](path)
        assert len(reader.read([0, 11])) == 2
        reader.close()
