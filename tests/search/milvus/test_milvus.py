"""An index in Milvus is that of the file, also where the server dies."""
import hashlib
import os
import shutil
import threading
import time
from contextlib import closing

import numpy as np
import pytest

from mmc2v.search import VideoSearch, milvus, milvus_connection
from mmc2v.search.clips import IndexedClips, Wanted
from mmc2v.search.milvus import MilvusStore
from mmc2v.search.milvus_clips import MilvusClips
from mmc2v.search.ranking import rank_clips
from mmc2v.search.records import Content, Stat, UnusableIndexError
from mmc2v.search.store import IndexStore
from mmc2v.search.verify import problems_of

from ..common import STRIDE, WINDOW, rows, write_model, write_videos

WIDTH = 64
SETTINGS = dict(width=WIDTH, weights='w', roots=['/videos'])


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp('model')
    write_model(folder)
    return folder


def open_search(model, index, **kwargs):
    return VideoSearch(index, str(model / 'config.py'), str(model / 'model.pth'), device='cpu',
                       window=WINDOW, stride=STRIDE, precision='float32', **kwargs)


def told(hits):
    """What is found; how far it stands out depends on the order of sums in its last digits."""
    return [(hit.paths, [(moment.start, moment.end, round(moment.score, 6),
                          pytest.approx(moment.stands_out, abs=1e-3)) for moment in hit.moments])
            for hit in hits]


def made_content(rng, number, clips=20):
    """A content of random clips; the last one is the whole video."""
    vectors = rng.standard_normal((clips, WIDTH)) + 3 * rng.standard_normal(WIDTH)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    starts = 5.0 * np.arange(clips)
    spans = np.stack([starts, starts + 10.0], axis=1)
    duration = float(spans[-2, 1]) + number % 7
    spans[-1] = 0, duration
    digest = hashlib.blake2b(str(number).encode(), digest_size=32).digest()
    return Content(digest, duration, spans, vectors.astype(np.float16))


def test_rows_and_hits_are_those_of_a_file(model, address, tmp_path):
    videos = write_videos(tmp_path / 'videos')
    shutil.copy(videos / '0.mp4', videos / 'copy.mp4')
    (videos / 'bad.mp4').write_bytes(b'no video')
    found = []
    for index in (str(tmp_path / 'my.index'), address):
        search = open_search(model, index)
        report = search.add(videos, workers=1)
        assert {kind: report.counts[kind] for kind in ('indexed', 'known', 'unreadable')} == dict(
            indexed=3, known=1, unreadable=1)
        assert search.add(videos, workers=1).counts['same'] == 5
        assert problems_of(search.store) == []
        found.append((rows(search.store), told(search.search('a red ring')),
                      told(search.search(videos / '1.mp4'))))
        search.close()
    assert found[0] == found[1]
    with open_search(model, address) as again:  # by another process
        assert told(again.search('a red ring')) == found[0][1]


def test_hits_of_ten_thousand_clips_are_the_same(address, tmp_path):
    rng = np.random.default_rng(0)
    contents = [made_content(rng, number) for number in range(500)]
    with closing(IndexStore(tmp_path / 'index', create=True)) as file, closing(
            MilvusStore(address, create=True)) as store:
        for each in (file, store):
            each.set(SETTINGS)
            for number, content in enumerate(contents):
                each.add(f'/videos/{number % 3}/{number}.mp4', Stat(number, 1), content)
            each.finish()
        assert store.counts()['clips'] == 10_000
    file, store = IndexStore(tmp_path / 'index'), MilvusStore(address)
    with file.reading():
        exact, ours = IndexedClips(file, in_memory=True), MilvusClips(store)
        asked = [Wanted(), Wanted(whole=True), Wanted(folder='videos/1'),
                 Wanted(min_length=102, max_length=104), Wanted(without=contents[7].digest),
                 Wanted(without=contents[7].digest, span=(10.0, 30.0)), Wanted(folder='nowhere')]
        for wanted in asked:
            for _ in range(8):
                vector = contents[rng.integers(500)].vectors[3].astype(np.float32)
                vector += 0.05 * rng.standard_normal(WIDTH).astype(np.float32)
                both = []
                for clips in (exact, ours):
                    scored = clips.scored(vector, wanted)
                    best = rank_clips(scored.scores, scored.videos, scored.spans, 10, 3,
                                      scored.sample)
                    both.append([(scored.contents[int(scored.videos[clip])].paths,
                                  int(scored.numbers[clip]), moment.start, moment.end,
                                  pytest.approx(moment.score, abs=1e-6),
                                  pytest.approx(moment.stands_out, rel=0.05))
                                 for clip, moment in best])
                assert both[0] == both[1]
                assert len(both[0]) == (0 if wanted.folder == 'nowhere' else 10)
    assert np.array_equal(ours.vector_of(contents[3].digest, 5),
                          exact.vector_of(contents[3].digest, 5))
    assert ours.vector_of(contents[3].digest, 20) is None


def test_what_is_written_twice_is_there_once(address):
    rng = np.random.default_rng(1)
    contents = [made_content(rng, number) for number in range(3)]
    for _ in range(2):
        with closing(MilvusStore(address, create=True)) as store:
            if not store.settings:
                store.set(SETTINGS)
            for number, content in enumerate(contents):
                store.add(f'/videos/{number}.mp4', Stat(1, 1), content)
            store.finish()
            assert store.counts()['clips'] == 60
    store = MilvusStore(address)
    assert [content.digest for _, content in store.contents()] == sorted(
        content.digest for content in contents)


def test_what_no_file_has_is_neither_found_nor_kept(address, monkeypatch):
    rng = np.random.default_rng(2)
    first, second, third = (made_content(rng, number) for number in range(3))
    store = MilvusStore(address, create=True)
    store.set(SETTINGS)
    store.add('/videos/a.mp4', Stat(1, 1), first)
    store.add('/videos/b.mp4', Stat(1, 1), second)
    store.link('/videos/c.mp4', Stat(1, 1), second.digest.hex())
    monkeypatch.setattr(store, '_put', lambda *args: None)  # as if it were killed before
    store.add('/videos/d.mp4', Stat(1, 1), third)
    monkeypatch.undo()
    scored = MilvusClips(MilvusStore(address)).scored(third.vectors[0].astype(np.float32),
                                                      Wanted())
    assert len(scored.contents) == 2
    store.add('/videos/a.mp4', Stat(2, 2), made_content(rng, 3))  # it has changed
    store.remove(['/videos/b.mp4'])
    store.finish()
    # the first one went with its file; the second one has another file, the third one may be
    # another process's that is at work
    assert {video.digest for _, video in store.contents()} == {
        second.digest, third.digest, made_content(rng, 3).digest}
    assert len(problems_of(store)) >= 1  # which names the third
    monkeypatch.setattr(milvus, '_ABANDONED', -10)
    store.finish()
    assert third.digest not in {video.digest for _, video in store.contents()}


def test_files_of_any_name_and_videos_of_days(address):
    store = MilvusStore(address, create=True)
    store.set(SETTINGS)
    names = [os.fsdecode(b'/videos/\xff\xfe.mp4'), '/videos/back\\slash\\xff.mp4',
             '/videos/"quoted" %_.mp4', '/videos/line\nbreak.mp4', '/videos/\u202egpj.mp4',
             '/videos/' + 'x' * 4000]
    content = made_content(np.random.default_rng(3), 0)
    store.add(names[0], Stat(2 ** 40, 2 ** 60), content)
    for name in names[1:]:
        store.link(name, Stat(1, -1), content.digest.hex())
    store.refuse('/videos/bad.mp4', Stat(0, 0), 'because of "this" \\ and ü' * 1000)
    long = made_content(np.random.default_rng(4), 1, clips=17_500)
    store.add('/videos/days.mp4', Stat(1, 1), long)
    reader = MilvusStore(address)
    files = reader.files()
    assert set(files) == {*names, '/videos/bad.mp4', '/videos/days.mp4'}
    assert files[names[0]].stat == Stat(2 ** 40, 2 ** 60)
    assert files['/videos/bad.mp4'].reason.startswith('because of "this" \\ and ü')
    assert sorted(names) == list(reader.files_of(content.digest.hex()))
    found = reader.find(long.digest[:16])
    assert found.digest == long.digest
    assert np.array_equal(found.spans, long.spans)
    assert reader.find(b'\0' * 16) is None
    whole = dict(reader.contents())[long.digest.hex()]
    assert np.array_equal(whole.vectors, long.vectors)


def test_what_was_acknowledged_outlives_the_server(model, server, address, tmp_path, capsys):
    videos = write_videos(tmp_path / 'videos', [8 + 3 * number for number in range(14)])
    with open_search(model, str(tmp_path / 'index')) as search:
        search.add(videos, workers=1)
        expected = rows(search.store)
    acknowledged, kills = [], []

    def watch(path, *_):
        acknowledged.append(os.path.basename(path))
        if len(acknowledged) in (3, 8):
            server.kill()
            kills.append(len(acknowledged))
            threading.Timer(1.0, server.start, [False]).start()
    with open_search(model, address) as search:
        report = search.add(videos, workers=1, watch=watch)
        assert kills == [3, 8]
        assert report.counts['indexed'] == 14
        assert rows(search.store) == expected
        assert problems_of(search.store) == []
        assert search.store.counts()['clips'] == sum(
            len(content.spans) for _, content in search.store.contents())
    assert 'waiting for it' in capsys.readouterr().err


def test_what_a_server_has_lost_is_named_and_read_again(model, address, tmp_path):
    videos = write_videos(tmp_path / 'videos', [8, 30, 44, 31])
    shutil.copy(videos / '0.mp4', videos / 'copy.mp4')
    seen = []

    def lose(store, name, share=''):
        digest = store.files()[str(videos / name)].content
        store._call('delete', store._name, filter=f'digest == "{digest}"{share}')

    def watch(path, *_):
        seen.append(os.path.basename(path))
        if len(seen) == 5:
            lose(search.store, '0.mp4')
            lose(search.store, '1.mp4', ' and number > 2')
    with open_search(model, address) as search:
        counts = search.add(videos, workers=1, watch=watch).counts
        assert (counts['indexed'], counts['known'], counts['again']) == (4, 1, 3)
        assert problems_of(search.store) == []
        whole = rows(search.store)
        assert search.add(videos, workers=1).counts == dict(same=5, removed=0)
        lose(search.store, '2.mp4', ' and number == 1')
        lose(search.store, '0.mp4')
        found = sorted(problems_of(search.store))
        assert [os.path.basename(line.split("'")[1]) for line in found
                if 'the server has lost' in line] == ['0.mp4', '2.mp4', 'copy.mp4']
        # also when it was long ago that they were written, and when others are asked for
        search.store._call('alter_collection_properties', search.store._name,
                           {'mmc2v.whole': str(int(time.time()) + 10_000)})
        os.mkdir(tmp_path / 'empty')
        search.add(tmp_path / 'empty', workers=1)
        assert sorted(os.path.basename(path) for path, record in search.store.files().items()
                      if 'has lost what was in it' in (record.reason or '')) == [
            '0.mp4', '2.mp4', 'copy.mp4']
        assert search.add(videos, workers=1).counts['same'] == 2
        assert rows(search.store) == whole


def test_a_collection_that_the_server_has_let_go_of_is_loaded(model, address, tmp_path, capsys):
    videos = write_videos(tmp_path / 'videos', [8])
    with open_search(model, address) as search:
        search.add(videos, workers=1)
        for name in (search.store._name, search.store._files):
            search.store._call('release_collection', name)
        assert len(search.search('a red ring')) == 1


def test_a_server_that_stays_away_is_an_error_and_indexing_goes_on_later(
        model, server, address, tmp_path, monkeypatch):
    videos = write_videos(tmp_path / 'videos', [8 + 3 * number for number in range(6)])
    monkeypatch.setattr(milvus_connection, '_PATIENCE', 2)
    search, seen = open_search(model, address), []

    def watch(path, *_):
        seen.append(os.path.basename(path))
        if len(seen) == 3:
            server.kill()
    try:
        with pytest.raises(OSError, match=f"the store '{address}' cannot be reached.*goes on"):
            search.add(videos, workers=1, watch=watch)
        with pytest.raises(OSError, match='cannot be reached'):
            open_search(model, address)
    finally:
        search.close()
        server.start()
        monkeypatch.undo()
    with open_search(model, address) as search:
        assert set(seen[:3]) <= {os.path.basename(path) for path in search.store.files()}
        report = search.add(videos, workers=1)
        assert report.counts['same'] >= 3
        assert report.counts['same'] + report.counts['indexed'] + report.counts['known'] == 6


def test_another_model_and_what_is_no_index_are_refused(model, server, address, tmp_path):
    videos = write_videos(tmp_path / 'videos', [8])
    with open_search(model, address) as search:
        search.add(videos, workers=1)
    (tmp_path / 'other').mkdir()
    write_model(tmp_path / 'other', seed=1)
    with pytest.raises(UnusableIndexError, match='was made by.*--store.*--rebuild'):
        open_search(tmp_path / 'other', address).search('a red ring')
    with pytest.raises(UnusableIndexError, match='is a collection of something else'):
        open_search(model, f'{address}_files').add(videos, workers=1)
    with pytest.raises(FileNotFoundError, match='there is no index.*--store'):
        open_search(model, f'{address}_none').search('a red ring')
    with pytest.raises(ValueError, match='leave out --ann'):
        open_search(model, address).build_approximate()


def test_readers_see_what_others_write(model, address, tmp_path):
    videos = write_videos(tmp_path / 'videos', [8])
    with open_search(model, address) as writer:
        writer.add(videos, workers=1)
    reader = open_search(model, address)
    assert len(reader.search('a red ring')) == 1
    write_videos(videos, [8, 30])
    open_search(model, address).add(videos, workers=1)
    end = time.monotonic() + 20  # it may be some seconds old
    while len(reader.search('a red ring')) == 1:
        assert time.monotonic() < end
        time.sleep(0.2)
    assert open_search(model, address).remove(videos) == 2
    assert open_search(model, address).search('a red ring') == []
