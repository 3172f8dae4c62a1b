"""What the server answers to those who ask as they should."""
import io
import json
import os
import shutil
import tempfile
import time
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from mmc2v.search.frames import digest_of
from mmc2v.search.names import FolderNames, shown
from mmc2v.search.progress_file import SharedProgress, path_of, read_progress
from mmc2v.search.records import FileRecord
from mmc2v.search.web import app, media, queries
from mmc2v.search.web.files import open_indexed

from ..common import open_search
from .common import COLOURS, index, serving, wait_for, write_colours, write_library


def video_of(folder, name):
    """Return the id of a video of the library."""
    return digest_of(str(next((folder / 'videos').rglob(name))))[:16].hex()


def clips_of(server, folder, name):
    """Return the windows of a video, by time."""
    found = [hit for hit in server.search(q='a ring', limit=50) if hit['name'] == name]
    assert {hit['video'] for hit in found} == {video_of(folder, name)}
    return sorted(found, key=lambda hit: hit['start'])


def colour_at(seconds, first):
    return np.array(COLOURS[(first + int(seconds)) % len(COLOURS)])


def is_colour(image, colour):
    """Whether the lower part of an image is of a colour, but for what a codec loses."""
    lower = np.asarray(image)[len(image) // 2:].reshape(-1, 3)
    return np.abs(lower.mean(0) - colour).max() < 12


def test_moments_are_those_of_exact_products_and_do_not_overlap(server, library):
    found = server.search(q='a red ring', limit=50)
    with open_search(library) as search:
        clips, vector = search.load(), search.model.encode_text('a red ring')
        scores = clips.vectors.scores(vector)
        by_video = {hit.paths[0]: hit for hit in search.search('a red ring', per_video=50)}
    assert [hit['rank'] for hit in found] == list(range(1, len(found) + 1))
    assert [hit['score'] for hit in found] == sorted((hit['score'] for hit in found), reverse=True)
    assert found[0]['score'] == pytest.approx(scores[~clips.whole].max(), abs=1e-4)
    for path, hit in by_video.items():
        mine = [other for other in found if other['name'] == os.path.basename(path)]
        assert [(m['start'], m['end']) for m in mine] == [(m.start, m.end) for m in hit.moments]
        assert mine[0]['stands_out'] == pytest.approx(hit.moments[0].stands_out, abs=0.05)
    assert {hit['folder'] for hit in found} == {'videos', 'videos/holidays'}


def test_pages_join_to_the_whole_and_filters_leave_out(server):
    every = server.search(q='a dog', limit=50)
    pages = [server.search(q='a dog', limit=3, offset=offset) for offset in range(0, 60, 3)]
    assert [hit['id'] for page in pages for hit in page] == [hit['id'] for hit in every]
    assert server.ask('/api/search', q='a dog', limit=3)[2]['more'] is True
    assert server.ask('/api/search', q='a dog', limit=50)[2]['more'] is False
    inner = server.search(q='a dog', limit=50, folder='videos/holidays')
    assert {hit['name'] for hit in inner} == {'sea.mp4', 'hevc.mp4'}
    assert server.search(q='a dog', limit=50, folder='videos') == every
    assert server.search(q='a dog', folder='vid') == []
    short = server.search(q='a dog', limit=50, min_length=4.5, max_length=7)
    assert {hit['name'] for hit in short} == {'sea.mp4', 'old.avi'}
    single = server.search(q='a dog', limit=50, per_video=1)
    assert len(single) == len({hit['video'] for hit in single}) == 5


def test_more_like_a_moment_leaves_it_out(server, library):
    hit = clips_of(server, library, 'plain.mp4')[1]
    status, _, document = server.ask('/api/search', clip=hit['id'], limit=50)
    assert status == 200
    assert document['query'] == dict(kind='clip', id=hit['id'], name='plain.mp4',
                                     start=hit['start'], end=hit['end'])
    for other in document['results']:
        assert other['video'] != hit['video'] or other['end'] <= hit['start'] \
            or hit['end'] <= other['start']
    assert document['results'][0]['score'] > 0.5  # of vectors of one kind


def test_an_uploaded_video_finds_itself_and_is_not_kept(server, library, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    body = (library / 'videos' / 'old.avi').read_bytes()
    status, _, document = server.ask('/api/uploads', 'POST', body, {'X-File-Name': 'my%20old.avi'})
    assert status == 201
    status, _, answer = server.ask('/api/search', upload=document['upload'], limit=5)
    assert answer['query'] == dict(kind='upload', id=document['upload'], name='my old.avi')
    assert answer['results'][0]['name'] == 'old.avi'
    assert answer['results'][0]['score'] > 0.99
    assert list(tmp_path.iterdir()) == []
    wait_for(lambda: not any(os.path.realpath(f'/proc/self/fd/{descriptor}').startswith(
        str(tmp_path)) for descriptor in os.listdir('/proc/self/fd')))  # without a name


def test_what_is_no_video_is_refused_as_an_upload(server):
    script = b"ffconcat version 1.0\nfile '/etc/passwd'\n"
    playlist = b'#EXTM3U\n#EXTINF:1,\nhttp://localhost:1/x.ts\n'
    for body in (b'no video', script, playlist, b'\0' * 99):
        status, _, document = server.ask('/api/uploads', 'POST', body)
        assert status == 422, document
        assert document['error']['code'] == 'unreadable'
        assert '/tmp' not in json.dumps(document)
        assert '/etc' not in json.dumps(document)
    assert server.ask('/api/uploads', 'POST', b'')[0] == 400
    status, _, document = server.ask('/api/search', upload='0' * 32)
    assert (status, document['error']['code']) == (404, 'forgotten')


def test_thumbnails_show_the_middle_of_moments(server, library):
    for name, first in (('plain.mp4', 0), ('hevc.mp4', 2), ('old.avi', 6), ('stream.mkv', 3)):
        for hit in clips_of(server, library, name):
            status, headers, body = server.ask(hit['thumbnail'])
            assert status == 200, body
            assert headers['content-type'] == 'image/jpeg'
            image = np.asarray(Image.open(io.BytesIO(body)))
            middle = (hit['start'] + hit['end']) / 2
            assert is_colour(image, colour_at(middle + 1e-6, first)), (name, middle)
    assert headers['cache-control'] == 'private, max-age=86400, immutable'
    again = server.ask(hit['thumbnail'], headers={'If-None-Match': headers['etag']})
    assert (again[0], again[2]) == (304, b'')
    assert again[1]['etag'] == headers['etag']


def test_files_that_browsers_play_are_sent_as_they_are_by_ranges(server, library):
    hit = clips_of(server, library, 'plain.mp4')[0]
    document = server.ask(f'/api/clips/{hit["id"]}')[2]
    assert document['type'] == 'video/mp4'
    whole = (library / 'videos' / 'plain.mp4').read_bytes()
    status, headers, body = server.ask(document['file'])
    assert (status, body, headers['accept-ranges']) == (200, whole, 'bytes')
    size = len(whole)
    for asked, start, stop in (('0-99', 0, 100), ('100-', 100, size), ('-50', size - 50, size),
                               (f'{size - 1}-{size + 5}', size - 1, size),
                               (f'-{size + 9}', 0, size)):
        status, headers, body = server.ask(document['file'], headers={'Range': f'bytes={asked}'})
        assert (status, body) == (206, whole[start:stop])
        assert headers['content-range'] == f'bytes {start}-{stop - 1}/{size}'
    for wrong in (f'{size}-', '-0'):
        status, headers, _ = server.ask(document['file'], headers={'Range': f'bytes={wrong}'})
        assert (status, headers['content-range']) == (416, f'bytes */{size}')
    for ignored in ('bytes=5-2', 'bytes=0-1,4-5', 'lines=0-1', 'bytes=a-b', 'bytes=-'):
        assert server.ask(document['file'], headers={'Range': ignored})[0] == 200
    other = {'Range': 'bytes=0-9', 'If-Range': '"other"'}
    assert server.ask(document['file'], headers=other)[0] == 200
    status, headers, body = server.ask(document['file'], 'HEAD')
    assert (status, headers['content-length'], body) == (200, str(size), b'')


@pytest.mark.parametrize(('name', 'first', 'has_sound'), [
    ('hevc.mp4', 2, True), ('old.avi', 6, False), ('stream.mkv', 3, False)])
def test_moments_of_other_files_become_h264(server, library, tmp_path, name, first, has_sound):
    hit = clips_of(server, library, name)[-1]
    document = server.ask(f'/api/clips/{hit["id"]}')[2]
    assert document['type'] is None
    status, headers, body = server.ask(document['moment'])
    assert (status, headers['content-type']) == (200, 'video/mp4')
    (tmp_path / 'moment.mp4').write_bytes(body)
    with av.open(str(tmp_path / 'moment.mp4')) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == 'h264'
        assert stream.codec_context.profile in ('High', 'Main', 'Constrained Baseline')
        assert bool(container.streams.audio) == has_sound
        frames = [(frame.time, frame.to_ndarray(format='rgb24'))
                  for frame in container.decode(stream)]
    assert body.index(b'moov') < body.index(b'mdat')  # it plays before it has come as a whole
    assert frames[0][0] == pytest.approx(0, abs=0.06)
    assert frames[-1][0] == pytest.approx(hit['end'] - hit['start'] - 0.1, abs=0.11)
    for at, image in frames[1::3]:
        assert is_colour(image, colour_at(hit['start'] + at + 1e-3, first)), at
    assert server.ask(document['moment'], headers={'Range': 'bytes=0-9'})[2] == body[:10]


def test_moments_of_files_without_times_and_damaged_ones_are_read_as_when_indexed(tmp_path):
    plain, raw, damaged = (tmp_path / name for name in ('a.mp4', 'raw.h264', 'damaged.mkv'))
    write_colours(plain)
    with av.open(str(plain)) as source, av.open(str(raw), 'w', format='h264') as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    write_colours(damaged)
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2:len(content) // 2 + 300] = bytes(300)
    damaged.write_bytes(content)
    for path in (raw, damaged):
        seconds = media.moment(str(path), 1.0, 3.0, str(tmp_path / 'made.mp4'))[0]['seconds']
        with av.open(str(tmp_path / 'made.mp4')) as container:
            times = [frame.time for frame in container.decode(video=0)]
        assert times == sorted(times)
        assert times[0] == pytest.approx(0, abs=0.11)
        assert times[-1] == pytest.approx(seconds, abs=0.01)
        assert 1.5 < seconds <= 2


def test_files_that_were_moved_changed_or_lead_out_are_not_served(tmp_path):
    videos = write_library(tmp_path)
    secret = tmp_path / 'elsewhere'
    secret.mkdir()
    write_colours(secret / 'secret.mp4', first=1, seconds=3)
    (videos / 'link.mp4').symlink_to(secret / 'secret.mp4')
    (videos / 'inner.mp4').symlink_to(videos / 'plain.mp4')
    index(tmp_path)
    with serving(tmp_path) as server:
        hits = {hit['name']: hit for hit in server.search(q='a', limit=50, per_video=1)}
        (videos / 'stream.mkv').rename(videos / 'renamed.mkv')
        with (videos / 'old.avi').open('ab') as file:
            file.write(b'more')
        # the same content, size and time, but elsewhere
        shutil.copy2(videos / 'holidays' / 'sea.mp4', tmp_path / 'copy.mp4')
        (videos / 'holidays' / 'sea.mp4').unlink()
        (videos / 'holidays' / 'sea.mp4').symlink_to(tmp_path / 'copy.mp4')
        for name, status, code in (('stream.mkv', 410, 'moved'), ('old.avi', 410, 'changed'),
                                   ('sea.mp4', 403, 'outside'), ('link.mp4', 403, 'outside')):
            hit = hits[name]
            for path in (hit['thumbnail'], f'/api/videos/{hit["video"]}',
                         f'/api/clips/{hit["id"]}/moment'):
                found, _, document = server.ask(path)
                assert (found, document['error']['code']) == (status, code), (name, path)
                assert str(tmp_path) not in json.dumps(document)
            document = server.ask(f'/api/clips/{hit["id"]}')[2]
            assert document['problem']['code'] == code
        # a link that stays inside is one of two names
        (videos / 'plain.mp4').rename(videos / 'other.mp4')
        (videos / 'inner.mp4').unlink()
        (videos / 'inner.mp4').symlink_to(videos / 'other.mp4')
        assert server.ask(f'/api/videos/{hits["inner.mp4"]["video"]}')[0] == 200


def test_what_was_looked_at_is_what_is_read(tmp_path, monkeypatch):
    videos = write_library(tmp_path)
    write_colours(tmp_path / 'secret.avi', first=1, seconds=5, codec='mpeg4')
    index(tmp_path)

    def exchanged(files, roots):
        found = app_opens(files, roots)
        for path in files:
            os.unlink(path)
            os.symlink(tmp_path / 'secret.avi', path)
        return found
    app_opens = app.open_indexed
    with serving(tmp_path) as server:
        hit = clips_of(server, tmp_path, 'old.avi')[0]
        monkeypatch.setattr(app, 'open_indexed', exchanged)
        status, _, body = server.ask(hit['thumbnail'])
        assert status == 200
        assert is_colour(np.asarray(Image.open(io.BytesIO(body))), colour_at(1, 6))
        assert os.path.islink(videos / 'old.avi')
        assert server.ask(f'/api/clips/{hit["id"]}/moment')[0] == 410


def test_what_a_link_leads_to_is_served_once_its_folder_is_indexed(tmp_path):
    videos = write_library(tmp_path)
    (tmp_path / 'elsewhere').mkdir()
    (videos / 'old.avi').rename(tmp_path / 'elsewhere' / 'old.avi')
    (videos / 'linked').symlink_to(tmp_path / 'elsewhere')
    index(tmp_path)
    number = digest_of(str(tmp_path / 'elsewhere' / 'old.avi'))[:16].hex()
    with serving(tmp_path) as server:
        assert server.ask(f'/api/videos/{number}')[2]['error']['code'] == 'outside'
        index(tmp_path, tmp_path / 'elsewhere')
        assert server.ask(f'/api/videos/{number}')[0] == 200
        with open_search(tmp_path) as search:
            assert search.store.roots == [str(tmp_path / 'elsewhere'), str(videos)]
            search.remove(tmp_path / 'elsewhere')
            assert search.store.roots == [str(videos)]
        assert server.ask(f'/api/videos/{number}')[2]['error']['code'] == 'outside'


def test_the_state_tells_of_loading_emptiness_and_progress(tmp_path):
    videos = write_library(tmp_path)
    empty = tmp_path / 'nothing'
    empty.mkdir()
    index(tmp_path, empty)  # an index with a model and without videos
    with serving(tmp_path, until='empty') as server:
        assert server.search(q='a dog') == []
        with SharedProgress(str(tmp_path / 'my.index')):
            assert server.ask('/api/status')[2]['indexing'] == dict(files=0, share=0.0, hours=0.0)
        assert server.ask('/api/status')[2]['indexing'] is None
        index(tmp_path, videos)
        wait_for(server.is_ready)
        assert len(server.search(q='a dog', per_video=1)) == 5
        status = server.ask('/api/status')[2]
    assert status['videos'] == 5
    assert status['folders'] == [dict(name='videos', videos=5),
                                 dict(name='videos/holidays', videos=2)]


def test_an_index_that_was_damaged_and_put_back_is_searched_again(tmp_path, monkeypatch):
    videos = write_library(tmp_path)
    index(tmp_path, videos)
    path = tmp_path / 'my.index'
    kept = path.read_bytes()
    monkeypatch.setattr(queries, '_BETWEEN_TRIES', 0.1)
    with serving(tmp_path) as server:
        before = server.search(q='a dog')
        path.write_bytes(b'no index' * 999)
        wait_for(lambda: server.ask('/api/search', q='a dog')[0] == 503)
        assert server.ask('/api/status')[0] == 503
        time.sleep(0.5)  # it is tried again meanwhile
        (tmp_path / 'new').write_bytes(kept)
        (tmp_path / 'new').replace(path)
        wait_for(server.is_ready)
        assert server.search(q='a dog') == before


def test_progress_is_that_of_a_process_that_lives(tmp_path):
    path = str(tmp_path / 'my.index')
    with SharedProgress(path) as progress:
        class Report:
            seconds_of_video = 7200.0
        progress('a.mp4', 25, Report, 100)
        assert read_progress(path) == (1, 0.25, 2.0)
    assert read_progress(path) is None
    Path(path_of(path)).write_text('{"files": 1, "share": 0.5, "hours": 1}')  # of a killed one
    assert read_progress(path) is None


def test_the_page_is_one_of_each_and_asks_again_only_what_changed(server):
    for path, kind in (('/', 'text/html'), ('/page.js', 'text/javascript'),
                       ('/page.css', 'text/css'), ('/icon.svg', 'image/svg+xml')):
        status, headers, body = server.ask(path)
        assert status == 200
        assert headers['content-type'].startswith(kind)
        assert headers['cache-control'] == 'no-cache'
        assert server.ask(path, headers={'If-None-Match': headers['etag']})[0] == 304
        assert b'//' not in body.replace(b'http://www.w3.org/2000/svg', b'').replace(
            b'// ', b'')  # no other host


def test_names_are_spelt_out_where_they_would_deceive():
    assert shown('rapport\u202e4pm.exe') == 'rapport\\u202e4pm.exe'
    assert shown('a\nb\x1b[31m\udcff\u2066') == 'a\\nb\\x1b[31m\\udcff\\u2066'
    assert shown('נסיון — 家族 👩\u200d👧.mp4') == 'נסיון — 家族 👩\u200d👧.mp4'
    names = FolderNames(['/a/Videos', '/b/Videos', '/b/Music'])
    assert [names.of(path) for path in ('/a/Videos/x.mp4', '/b/Videos/c/d/x.mp4', '/b/Music/x.mp4',
                                        '/other/x.mp4')] == [
        'a/Videos', 'b/Videos/c/d', 'Music', 'other']
    names = FolderNames(['/', '/a', '/a/b/x.mp4'])
    assert [names.of(path) for path in ('/x.mp4', '/a/x.mp4', '/a/b/x.mp4', '/a/b/y.mp4',
                                        '/c/d/x.mp4')] == ['/', 'a', 'x.mp4', 'a/b', '//c/d']


def test_thousands_of_files_that_were_named_one_by_one_are_looked_at_one_by_one(
        tmp_path, monkeypatch):
    roots = [str(tmp_path / f'{number}.mp4') for number in range(3000)]
    for root in roots[:3]:
        Path(root).touch()
    asked = []
    real = os.path.realpath
    monkeypatch.setattr(os.path, 'realpath', lambda path: (asked.append(path), real(path))[1])
    status = os.stat(roots[2])
    files = {roots[2]: FileRecord((status.st_size, status.st_mtime_ns), 1, None)}
    os.close(open_indexed(files, roots))
    assert asked == [roots[2]]
