"""The file of an index: whole transactions, readers beside a writer, and clear errors."""
import os
import sqlite3
import stat
from contextlib import closing

import numpy as np
import pytest

from mmc2v.search.records import Content, Stat
from mmc2v.search.store import IndexStore
from mmc2v.search.verify import problems_of

from ..tiny import full_disk

SETTINGS = dict(width=64, name='a model', model={}, pipeline=[], checkpoint=None, weights='0',
                precision='float32', window=10.0, stride=5.0)


def content(seed=0, clips=4, width=64):
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((clips, width))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    spans = np.stack([np.arange(clips) * 5.0, np.arange(clips) * 5.0 + 10], axis=1)
    return Content(rng.bytes(32), 100.0, spans, vectors.astype(np.float16))


@pytest.fixture
def path(tmp_path):
    store = IndexStore(tmp_path / 'my.index', create=True)
    store.set(SETTINGS)
    file = tmp_path / 'a.mp4'
    file.write_bytes(b'x')
    found = file.stat()
    store.add(str(file), Stat(found.st_size, found.st_mtime_ns), content())
    store.close()
    return tmp_path / 'my.index'


def test_what_is_written_is_read(path):
    assert {file.name for file in path.parent.iterdir() if 'index' in file.name} == {'my.index'}
    store = IndexStore(path)
    (number, found), = store.contents()
    assert np.array_equal(found.vectors, content().vectors)
    assert np.array_equal(found.spans, content().spans)
    assert (found.digest, found.duration, found.damage) == (content().digest, 100.0, None)
    assert store.content_of(found.digest) == number
    assert store.settings == SETTINGS
    assert problems_of(store) == []


def test_readers_see_whole_changes(path):
    reader, writer = IndexStore(path), IndexStore(path, create=True)
    version = reader.version
    with writer.transaction():
        writer._db.execute('DELETE FROM files')
        assert len(reader.files()) == 1
        assert reader.version == version
    assert reader.files() == {}
    assert reader.version != version


def delete_and_fail(store):
    with store.transaction():
        store._db.execute('DELETE FROM files')
        1 / 0  # noqa: B018


def test_an_error_leaves_the_index_as_it_was(path):
    store = IndexStore(path, create=True)
    with pytest.raises(ZeroDivisionError):
        delete_and_fail(store)
    assert len(store.files()) == 1


def test_a_content_that_another_process_has_added_meanwhile_is_there_once(path):
    store = IndexStore(path, create=True)
    before = dict(store.contents())
    store.add('/b.mp4', Stat(1, 1), content())  # of the same digest
    assert len(store.files()) == 2
    assert len({record.content for record in store.files().values()}) == 1
    assert dict(store.contents()).keys() == before.keys()


def test_a_full_disk_is_said_and_nothing_is_lost(path):
    store = IndexStore(path, create=True)
    with full_disk(path.stat().st_size + 5000), pytest.raises(OSError, match=r"index '.*index'"):
        store.add('/b.mp4', Stat(1, 1), content(1, clips=400))
    assert list(store.files()) == [str(path.parent / 'a.mp4')]
    store.add('/b.mp4', Stat(1, 1), content(1, clips=400))
    assert len(store.files()) == 2
    assert store.fault() is None


def test_files_are_not_much_larger_than_the_vectors(tmp_path):
    """The bound that docs/search.md names: 1.1 of the vectors, and 200 bytes a clip."""
    for clips, files in ((1, 300), (12, 60), (400, 2)):
        store = IndexStore(tmp_path / f'{clips}.index', create=True)
        with store.transaction():
            for number in range(files):
                found = content(number, clips, 1024)
                row = store._db.execute(
                    'INSERT INTO contents (digest, duration, spans, vectors) VALUES (?, 1, ?, ?)',
                    [found.digest, found.spans.tobytes(), found.vectors.tobytes()]).lastrowid
                store._put(f'/some/folder/of/videos/{number:05d}.mp4', Stat(1, 1), row, None)
        store.close()
        size = os.path.getsize(store.path) - 20000  # what an empty one has
        assert size < 1.1 * 2048 * clips * files + 200 * clips * files


@pytest.mark.parametrize(('content', 'message'), [
    (b'some text that is no index, longer than a header' * 9, 'is damaged or no index'),
    (b'SQLite format 3\0' + bytes(20), 'is damaged or no index')])
def test_other_files_are_refused_and_left(content, message, tmp_path):
    path = tmp_path / 'notes.txt'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        IndexStore(path)
    with pytest.raises(ValueError, match=message):
        IndexStore(path, create=True)
    assert path.read_bytes() == content


def test_other_databases_and_formats_are_refused(path, tmp_path):
    other = sqlite3.connect(tmp_path / 'other.db')
    other.execute('CREATE TABLE a (b)')
    other.commit()
    for create in (False, True):
        with pytest.raises(ValueError, match='is no index of mmc2v'):
            IndexStore(tmp_path / 'other.db', create)
    db = sqlite3.connect(path)
    db.execute('PRAGMA user_version = 7')
    db.close()
    for create in (False, True):
        with pytest.raises(ValueError, match='format 7; this mmc2v reads format 1'):
            IndexStore(path, create)
    with pytest.raises(FileNotFoundError, match='there is no index'):
        IndexStore(tmp_path / 'none')


@pytest.mark.parametrize(('change', 'message'), [
    ("UPDATE contents SET vectors = zeroblob(length(vectors))", 'a vector has the length 0.000'),
    ("UPDATE contents SET vectors = zeroblob(16)", 'its vectors have 2 numbers and not 64'),
    ("UPDATE contents SET duration = 3", 'a clip lies outside the video of 3.0 s'),
    ("UPDATE contents SET digest = x'00'", 'content 1 is not as it has'),
    ("DELETE FROM contents", 'a content that is not there'),
    ("DELETE FROM files", 'is of no file'),
    ("UPDATE files SET content = NULL", 'has neither content nor reason'),
    ("UPDATE files SET size = 99", 'has changed'),
    ("UPDATE files SET path = CAST('/nowhere.mp4' AS BLOB)", 'is no longer there')])
def test_what_is_wrong_with_an_index_is_found(change, message, path):
    db = sqlite3.connect(path)
    db.execute(change)
    db.commit()
    db.close()
    assert any(message in problem for problem in problems_of(IndexStore(path)))


def test_flipped_bytes_are_found(path):
    found = bytearray(path.read_bytes())
    found[1024:4096] = bytes(3072)
    path.write_bytes(found)
    try:
        problems = problems_of(IndexStore(path))
    except ValueError as error:
        problems = [str(error)]
    assert any('damaged' in problem for problem in problems)


def test_reading_needs_no_right_to_write(path, monkeypatch):
    path.chmod(stat.S_IRUSR)
    path.parent.chmod(stat.S_IRUSR | stat.S_IXUSR)
    monkeypatch.setattr(os, 'access', lambda path, mode: False)  # as for others than root
    try:
        assert len(IndexStore(path).files()) == 1
    finally:
        path.parent.chmod(stat.S_IRWXU)


def test_an_empty_file_is_no_index_yet(tmp_path):
    path = tmp_path / 'my.index'
    path.touch()
    with pytest.raises(FileNotFoundError, match='there is no index'):
        IndexStore(path)
    IndexStore(path, create=True).close()
    assert [file.name for file in tmp_path.iterdir()] == ['my.index']
    assert IndexStore(path).files() == {}


def test_what_was_written_and_read_is_one_file(path):
    store = IndexStore(path)
    assert len(store.files()) == 1
    store.close()
    names = [file.name for file in path.parent.iterdir()]
    assert sorted(names) == ['a.mp4', 'my.index']
    reader = IndexStore(path)
    with closing(IndexStore(path, create=True)) as writer:
        writer.add('/b.mp4', Stat(1, 1), content(1))
        assert len(reader.files()) == 2
    assert len(reader.files()) == 2


def test_the_log_of_an_index_that_was_deleted_is_no_part_of_a_new_one(path):
    writer = IndexStore(path, create=True)
    writer.add('/b.mp4', Stat(1, 1), content(1))
    path.unlink()  # as by hand, while somebody has it open
    anew = IndexStore(path, create=True)
    assert anew.files() == {}
    assert anew.fault() is None
    writer.close()
    assert anew.fault() is None


def test_an_index_is_made_whole_or_not_at_all(tmp_path):
    with full_disk(2000), pytest.raises(OSError, match=r"index '.*my\.index'"):
        IndexStore(tmp_path / 'my.index', create=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('change', [
    "UPDATE contents SET digest = 5", "UPDATE contents SET digest = x'00'",
    "UPDATE contents SET duration = 'long'", 'UPDATE contents SET duration = 1e308',
    "UPDATE contents SET damage = x'00'", "UPDATE contents SET vectors = 'text'",
    "UPDATE contents SET spans = x'00'", "UPDATE files SET path = 'text'",
    "UPDATE files SET path = x'2f6100'", "UPDATE files SET size = 'x'",
    'UPDATE files SET mtime = 1.5',
    "UPDATE files SET reason = x'00'", "UPDATE settings SET value = '{'",
    "UPDATE settings SET value = x'7b'"])
def test_values_of_other_types_are_told_by_all(path, change):
    with sqlite3.connect(path) as db:
        db.execute(change)
    store = IndexStore(path)
    found = problems_of(store)
    assert any('is damaged: ' in problem and '--rebuild' in problem for problem in found), found
    with pytest.raises(ValueError, match=r"index' is damaged: .*--rebuild"):
        (store.settings, store.files(), list(store.outlines()), list(store.contents()))


@pytest.mark.parametrize(('change', 'name'), [
    ('CREATE TRIGGER t AFTER INSERT ON files BEGIN DELETE FROM contents; END', 't'),
    ('CREATE VIEW v AS SELECT 1', 'v'), ('CREATE TABLE more (x)', 'more'),
    ('DROP INDEX files_of_contents', 'files_of_contents'),
    ('ALTER TABLE files ADD COLUMN x', 'files')])
def test_what_a_stranger_put_into_the_schema_is_refused(path, change, name):
    with sqlite3.connect(path) as db:
        db.execute(change)
    for create in (False, True):
        with pytest.raises(ValueError, match=f"damaged: '{name}' is not as it has to be"):
            IndexStore(path, create=create)
