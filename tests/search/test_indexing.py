"""What an index knows after each change of the folders."""
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from mmc2v.apis import encode_videos, init_model
from mmc2v.search import VideoSearch
from mmc2v.search.records import FileRecord, Stat
from mmc2v.search.scan import find_changes
from mmc2v.search.verify import problems_of
from mmc2v.search.writing import rebuilding
from mmc2v.synthetic.writing import write_video
from mmc2v.video import BACKENDS

from ..tiny import pipeline, random_video
from .common import open_search, rows, write_model, write_videos


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp('search')
    write_model(folder)
    return folder


@pytest.fixture
def search(model, tmp_path):
    shutil.copy(model / 'config.py', tmp_path)
    shutil.copy(model / 'model.pth', tmp_path)
    with open_search(tmp_path) as opened:
        yield opened


def age(path, seconds=60):
    """Let a file look as if it had been written a while ago."""
    stat = os.stat(path)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns - int(seconds * 1e9)))


def add(search, *roots):
    return {kind: count for kind, count in search.add(*roots, workers=2).counts.items() if count}


def test_videos_are_found_by_sentences_and_by_videos(search, tmp_path):
    videos = write_videos(tmp_path / 'videos')
    assert add(search, videos) == {'indexed': 3}
    assert problems_of(search.store) == []
    hits = search.search('whatever', top=2)
    assert len(hits) == 2
    assert hits[0].moments[0].score >= hits[1].moments[0].score
    model = init_model(str(tmp_path / 'config.py'), str(tmp_path / 'model.pth'))
    wholes = encode_videos(model, [str(videos / f'{number}.mp4') for number in range(3)],
                           pipeline=pipeline()).numpy()
    like = search.search(videos / '1.mp4', per_video=9)
    assert sorted(hit.paths[0] for hit in like) == [
        str(videos / name) for name in ('0.mp4', '2.mp4')]
    scores = {hit.paths[0]: hit.moments[0].score for hit in like}
    short = scores[str(videos / '0.mp4')]  # which is one clip
    assert short == pytest.approx(wholes[0] @ wholes[1], abs=1e-3)
    assert scores[str(videos / '2.mp4')] >= wholes[2] @ wholes[1] - 1e-3


def test_a_part_of_a_video_is_found_in_it(search, tmp_path):
    """Its frames, asked for as a video, are most like the window that holds them."""
    videos = write_videos(tmp_path / 'videos', [60, 60, 60])
    frames = BACKENDS['pyav'](str(videos / '1.mp4')).read(range(20, 30))
    write_video(tmp_path / 'part.mp4', np.stack(frames))
    add(search, videos)
    best = search.search(tmp_path / 'part.mp4', top=1)[0]
    assert best.paths == [str(videos / '1.mp4')]
    assert (best.moments[0].start, best.moments[0].end) == (4, 6)


def test_a_second_run_has_nothing_to_do(search, tmp_path):
    videos = write_videos(tmp_path / 'videos')
    add(search, videos)
    before = rows(search.store)
    assert add(search, videos) == {'same': 3}
    assert rows(search.store) == before


def test_what_changes_moves_and_goes(search, tmp_path):
    videos = write_videos(tmp_path / 'videos')
    add(search, videos)
    before = rows(search.store)
    (videos / 'sub').mkdir()
    (videos / '0.mp4').rename(videos / 'sub' / 'moved.mp4')
    (videos / '1.mp4').unlink()
    random_video(videos / '2.mp4', num_frames=8, seed=9)
    random_video(videos / 'new.mp4', num_frames=8, seed=10)
    assert add(search, videos) == {'known': 1, 'indexed': 2, 'removed': 2}
    after = rows(search.store)
    assert set(after) == {'moved.mp4', '2.mp4', 'new.mp4'}
    assert after['moved.mp4'][2:] == before['0.mp4'][2:]
    assert after['2.mp4'] != before['2.mp4']
    assert search.store.counts()['contents'] == 3
    os.utime(videos / 'new.mp4', ns=(1, 1))  # touched, and the same
    assert add(search, videos) == {'known': 1, 'same': 2}


def test_roots_are_looked_at_before_anything_is_made(tmp_path):
    with open_search(tmp_path) as search, pytest.raises(FileNotFoundError, match="typo' is not"):
        search.add(tmp_path / 'typo')  # without a model: it is not looked for
    assert list(tmp_path.iterdir()) == []


def test_only_what_lies_in_the_roots_is_looked_at(search, tmp_path):
    a, b = write_videos(tmp_path / 'a', [6]), write_videos(tmp_path / 'b', [7, 8])
    assert sum(add(search, a, b).values()) == 3  # a/0.mp4 and b/0.mp4 are the same frames
    shutil.rmtree(a)
    assert add(search, b / '1.mp4') == {'same': 1}
    with pytest.raises(FileNotFoundError, match=r"a' is not there; nothing was changed"):
        search.add(a)
    assert len(search.store.files()) == 3
    assert search.remove(a) == 1
    assert len(search.store.files()) == 2


def test_a_file_of_any_name_stays_while_it_is_there(search, tmp_path):
    videos = write_videos(tmp_path / 'videos', [6, 7])
    os.rename(videos / '1.mp4', videos / 'recording')
    assert add(search, videos / 'recording') == {'indexed': 1}
    assert add(search, videos) == {'indexed': 1, 'same': 1}
    shutil.copy(videos / '0.mp4', videos / 'recording')
    age(videos / 'recording')
    assert add(search, videos) == {'known': 1, 'same': 1}
    (videos / 'recording').unlink()
    assert add(search, videos) == {'same': 1, 'removed': 1}


@pytest.mark.parametrize(('use', 'message'), [
    (lambda search, folder: search.add(''), 'a path is empty'),
    (lambda search, folder: search.remove(folder, ''), 'a path is empty'),
    (lambda search, folder: search.add(folder / 'pipe'), 'pipe.* is neither a folder nor a file'),
    (lambda search, folder: search.add(folder, workers=0), 'workers must be at least 1, got 0'),
    (lambda search, folder: search.search('x', top=0), 'at least 1, got 0 and 3'),
    (lambda search, folder: search.search('x', per_video=-1), 'at least 1, got 10 and -1'),
    (lambda search, folder: search.search(None), 'a query is a sentence .* got None'),
    (lambda search, folder: search.search(' '), 'the sentence to search for is empty'),
    (lambda search, folder: VideoSearch(''), 'a path is empty'),
    (lambda search, folder: VideoSearch(folder).store, 'is no file; choose another name'),
    (lambda search, folder: VideoSearch(folder / 'new', precision='float16').settings,
     "precision must be one of float32, bfloat16, got 'float16'"),
    (lambda search, folder: VideoSearch(folder / 'my.index', device='gpu0').model,
     "the device 'gpu0' cannot be used: "),
])
def test_what_cannot_be_is_refused_by_name(search, tmp_path, use, message):
    videos = write_videos(tmp_path / 'videos', [6])
    add(search, videos)
    os.mkfifo(tmp_path / 'pipe')
    before = rows(search.store)
    with pytest.raises((ValueError, TypeError), match=message):
        use(search, tmp_path)
    assert rows(search.store) == before


def test_a_copy_is_embedded_once_and_found_under_both_names(search, tmp_path, monkeypatch):
    videos = write_videos(tmp_path / 'videos', [6])
    shutil.copy(videos / '0.mp4', videos / 'again.mp4')
    assert add(search, videos) == {'indexed': 1, 'known': 1}
    assert search.store.counts()['contents'] == 1
    assert search.search('x')[0].paths == [str(videos / '0.mp4'), str(videos / 'again.mp4')]
    (videos / '0.mp4').unlink()
    assert add(search, videos) == {'same': 1, 'removed': 1}
    assert search.search('x')[0].paths == [str(videos / 'again.mp4')]


def test_unreadable_files_are_listed_and_tried_again_when_they_change(search, tmp_path):
    videos = write_videos(tmp_path / 'videos', [6])
    broken = videos / 'broken.mp4'
    broken.write_bytes(b'no video')
    (videos / 'empty.mkv').touch()
    os.mkfifo(videos / 'pipe.mp4')
    (videos / 'nowhere.mp4').symlink_to('does-not-exist')
    (videos / 'folder.mp4').mkdir()
    assert add(search, videos) == {'indexed': 1, 'unreadable': 2}
    reasons = {Path(path).name: record.reason for path, record in search.store.files().items()}
    assert reasons['0.mp4'] is None
    assert reasons['broken.mp4']
    assert reasons['empty.mkv']
    assert add(search, videos) == {'same': 3}
    shutil.copy(videos / '0.mp4', broken)
    age(broken)
    assert add(search, videos) == {'known': 1, 'same': 2}


def test_names_of_all_kinds(search, tmp_path):
    videos = write_videos(tmp_path / 'vi deos\n', [6])
    names = [b'\xff\xfe.mp4', 'ünï 日本.mp4'.encode(), b'new\nline.MP4', b"quote'\".mp4",
             b'%03d.mp4', b'http:x.mp4']
    for seed, name in enumerate(names):
        random_video(videos / 'x.mp4', num_frames=6, seed=20 + seed)
        os.rename(os.fsencode(videos / 'x.mp4'), os.path.join(os.fsencode(videos), name))
    assert add(search, videos) == {'indexed': 7}
    found = {os.path.basename(os.fsencode(path)) for hit in search.search('x', top=20)
             for path in hit.paths}
    assert found == {b'0.mp4', *names}
    assert add(search, videos) == {'same': 7}


def test_links_to_folders_are_followed_once(search, tmp_path):
    videos = write_videos(tmp_path / 'videos', [6])
    elsewhere = write_videos(tmp_path / 'elsewhere', [7])
    (videos / 'loop').symlink_to(videos)
    (videos / 'linked').symlink_to(elsewhere)
    (elsewhere / 'back').symlink_to(videos)
    assert add(search, videos) == {'indexed': 2}
    assert sorted(search.store.files()) == [str(videos / '0.mp4'), str(videos / 'linked/0.mp4')]


def test_a_file_that_is_being_written_is_left_for_the_next_run(search, tmp_path):
    videos = write_videos(tmp_path / 'videos', [6])
    growing = videos / 'growing.mp4'
    shutil.copy(videos / '0.mp4', growing)
    age(videos / '0.mp4')

    def watch(path, *args):  # called when the first file is finished
        with growing.open('ab') as file:
            file.write(b'more')
    report = search.add(videos, workers=1, watch=watch)
    assert report.growing == [str(growing)]
    assert set(search.store.files()) == {str(videos / '0.mp4')}
    age(growing)
    assert sum(add(search, videos).values()) == 2
    assert set(search.store.files()) == {str(videos / '0.mp4'), str(growing)}


def test_files_that_appear_meanwhile_are_indexed(search, tmp_path):
    videos = write_videos(tmp_path / 'videos', [6])
    source = tmp_path / 'later.mp4'
    random_video(source, num_frames=9, seed=5)
    age(source)
    report = search.add(videos, workers=1, watch=lambda *args: source.exists() and source.rename(
        videos / 'later.mp4'))
    assert report.counts['indexed'] == 2


def test_one_colour_and_one_frame_are_found_like_any_other(search, tmp_path):
    videos = tmp_path / 'videos'
    videos.mkdir()
    write_video(videos / 'one colour.mp4', np.full((60, 48, 64, 3), 7, np.uint8))
    random_video(videos / 'one frame.mp4', num_frames=1)
    assert add(search, videos) == {'indexed': 2}
    assert len(search.search('x')) == 2
    assert problems_of(search.store) == []


def test_another_model_is_refused_by_name(search, model, tmp_path):
    videos = write_videos(tmp_path / 'videos', [6])
    add(search, videos)
    (tmp_path / 'other').mkdir()
    write_model(tmp_path / 'other', seed=1)
    with open_search(tmp_path, model='other') as other, pytest.raises(
            ValueError, match=r'other weights\. Search with what made it.*--rebuild') as error:
        other.add(videos)
    assert 'config with model.pth' in str(error.value)
    with open_search(tmp_path, model='other') as other, pytest.raises(ValueError,
                                                                      match='other weights'):
        other.search('x')
    options = dict(device='cpu', precision='float32')
    with VideoSearch(tmp_path / 'my.index', window=3, **options) as other, pytest.raises(
            ValueError, match='other window'):
        other.add(videos)
    with VideoSearch(tmp_path / 'my.index', **options) as same:  # it knows its model
        assert same.search('x') == search.search('x')
        assert add(same, videos) == {'same': 1}


def test_who_searches_goes_on_with_what_others_make_of_the_index(search, tmp_path):
    videos = write_videos(tmp_path / 'videos', [6, 30])
    add(search, videos)
    options = dict(device='cpu', precision='float32')
    with VideoSearch(tmp_path / 'my.index', **options) as reader:
        before = reader.search('x')
        write_model(tmp_path, seed=1)
        with rebuilding(str(tmp_path / 'my.index')) as new, open_search(
                tmp_path, os.path.basename(new)) as other:
            add(other, videos)
        after = reader.search('x')
        with open_search(tmp_path) as fresh:
            assert after == fresh.search('x')
        assert after != before
        os.rename(tmp_path / 'my.index', tmp_path / 'other.index')
        with pytest.raises(FileNotFoundError, match='there is no index'):
            reader.search('x')
        (videos / '1.mp4').unlink()
        with open_search(tmp_path) as anew:
            add(anew, videos)
        assert len(reader.search('x')) == 1  # of the file that has taken the place


def test_threads_take_turns(search, tmp_path):
    add(search, write_videos(tmp_path / 'videos', [6, 30]))
    expected = [search.search(query) for query in ('a dog', 'the sea')]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(search.search, ['a dog', 'the sea'] * 10)) == expected * 10


def test_nothing_is_forgotten_of_an_index_that_is_not_there(tmp_path):
    with open_search(tmp_path) as search, pytest.raises(FileNotFoundError, match='is no index'):
        search.remove(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_two_do_not_make_an_index_anew_at_once(search, tmp_path):
    videos = write_videos(tmp_path / 'videos', [6])
    add(search, videos)
    with rebuilding(search.index):
        with pytest.raises(ValueError, match='another run writes'), rebuilding(search.index):
            pass
        with pytest.raises(ValueError, match='another run writes'):
            add(search, videos)
        with open_search(tmp_path, 'my.index.rebuild') as other:
            add(other, videos)
    assert problems_of(search.store) == []


def test_files_that_are_as_they_were_are_not_looked_into(tmp_path):
    known = {}
    for number in range(1000):
        path = tmp_path / f'{number}.mp4'
        path.touch()
        stat = path.stat()
        known[str(path)] = FileRecord(Stat(stat.st_size, stat.st_mtime_ns), 1, None)
    changes = find_changes([str(tmp_path)], known)
    assert (changes.same, changes.new, changes.gone) == (1000, {}, [])


def test_a_folder_that_cannot_be_read_keeps_what_is_known_of_it(tmp_path, monkeypatch):
    (tmp_path / 'closed').mkdir()
    known = {str(tmp_path / 'closed' / 'a.mp4'): FileRecord(Stat(1, 1), 1, None),
             str(tmp_path / 'b.mp4'): FileRecord(Stat(1, 1), 2, None)}
    scandir = os.scandir

    def refuse(folder):
        if str(folder).endswith('closed'):
            raise PermissionError
        return scandir(folder)
    monkeypatch.setattr(os, 'scandir', refuse)
    changes = find_changes([str(tmp_path)], known)
    assert changes.closed == [str(tmp_path / 'closed')]
    assert changes.gone == [str(tmp_path / 'b.mp4')]
