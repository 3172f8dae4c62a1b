"""Files that are damaged or hostile, processes that die, and runs that meet."""
import os
import shutil
import sqlite3
from pathlib import Path

import pytest
from fuzz_damage import damaged_file
from fuzz_sources import make_sources
from search_output import info_lines

from mmc2v.search import VideoSearch, workers
from mmc2v.search.frames import ClipFrames
from mmc2v.search.indexing import Indexer
from mmc2v.search.store import IndexStore
from mmc2v.search.verify import problems_of
from mmc2v.search.workers import VideoWorkers

from ..tiny import build_model, full_disk, pipeline
from . import kill_indexing
from .common import open_search, rows, write_model, write_videos
from .hostile import OpenVideo


@pytest.fixture
def folder(tmp_path):
    write_model(tmp_path)
    return tmp_path


def test_what_kills_and_hangs_a_process_takes_no_other_file_along(tmp_path, monkeypatch):
    monkeypatch.setattr(workers, '_PATIENCE', 6.0)
    videos = write_videos(tmp_path / 'videos', [6] * 4)
    source = videos / '0.mp4'
    for number, name in enumerate(('crash', 'hang', 'memory', 'exit', 'error')):
        # a byte behind the last box changes the content and nothing else
        (videos / f'{name}.mp4').write_bytes(source.read_bytes() + bytes([number]))
    steps = pipeline()
    steps[0] = dict(type=OpenVideo)
    store = IndexStore(tmp_path / 'index', create=True)
    frames = ClipFrames(steps, 2, 1)
    with VideoWorkers(2, steps, 2, 1) as processes:
        report = Indexer(store, build_model().eval(), frames.num_frames, processes).run(
            [str(videos)])
    reasons = {Path(path).stem: reason for path, reason in report.unreadable.items()}
    assert set(reasons) == {'crash', 'hang', 'memory', 'exit', 'error'}
    assert 'ended by SIGSEGV: its decoder crashes' in reasons['crash']
    assert 'takes too long: no sign of life for 6 s' in reasons['hang']
    assert 'MemoryError' in reasons['memory'] or 'memory' in reasons['memory'].lower()
    assert 'ended with code 3' in reasons['exit']
    assert reasons['error'] == 'a fault'
    assert report.counts['indexed'] == 4
    assert {Path(path).stem for path, record in store.files().items() if record.reason} == set(
        reasons)


def test_a_file_whose_process_somebody_killed_is_tried_again(tmp_path):
    videos = write_videos(tmp_path / 'videos', [6])
    os.rename(videos / '0.mp4', videos / 'killed.mp4')
    (videos / 'killed.mp4.kill').touch()
    steps = pipeline()
    steps[0] = dict(type=OpenVideo)
    store = IndexStore(tmp_path / 'index', create=True)
    frames = ClipFrames(steps, 2, 1)
    with VideoWorkers(1, steps, 2, 1) as processes:
        indexer = Indexer(store, build_model().eval(), frames.num_frames, processes)
        reason, = indexer.run([str(videos)]).unreadable.values()
        assert reason == 'the process that read it was ended by SIGKILL; the next run tries again'
        assert indexer.run([str(videos)]).counts['indexed'] == 1


def test_all_that_the_fuzzer_makes_is_in_the_index_or_in_the_list(folder):
    videos = folder / 'videos'
    videos.mkdir()
    sources = make_sources()
    for number, source in enumerate(sources):
        (videos / f'whole{number}.mp4').write_bytes(source.content)
    for seed in range(60):
        (videos / f'{seed}.mkv').write_bytes(damaged_file(seed, sources)[2])
    with open_search(folder) as search:
        report = search.add(videos, workers=2)
        files = search.store.files()
        assert problems_of(search.store) == []
    assert len(files) == 60 + len(sources)
    unreadable = {Path(path).stem for path, record in files.items() if record.content is None}
    assert all(files[str(videos / f'{stem}.mkv')].reason for stem in unreadable)
    assert not any(stem.startswith('whole') for stem in unreadable)
    assert 8 < len(unreadable) < 48
    assert 4 < len(report.damaged) < 48


def test_indexing_that_was_killed_is_taken_up_and_gives_the_same(tmp_path):
    """`make search-kill-test` does it more often."""
    _, violations = kill_indexing.run(tmp_path, kills=8, num_videos=12)
    assert violations == []


def test_a_second_run_is_told_of_the_first_and_readers_go_on(folder):
    videos = write_videos(folder / 'videos')
    seen = []

    def watch(path, *args):
        with open_search(folder) as other:
            seen.append(rows(other.store))
            with pytest.raises(ValueError, match="another run writes into the index '.*my.index'"):
                other.add(videos)
    with open_search(folder) as search:
        search.add(videos, workers=1, watch=watch)
        after = rows(search.store)
    assert [len(found) for found in seen] == [1, 2, 3]
    for found in seen:
        assert found.items() <= after.items()


def test_a_full_disk_ends_the_run_and_leaves_what_was_there(folder):
    videos = write_videos(folder / 'videos', [6, 7])
    with open_search(folder) as search:
        search.add(videos, workers=1)
        before = rows(search.store)
    write_videos(folder / 'more', [600])
    with open_search(folder) as search:
        search.model  # noqa: B018  loaded while files can still be written
        with full_disk(os.path.getsize(folder / 'my.index') + 3000), pytest.raises(
                OSError, match=r'index .*my\.index'):
            search.add(folder / 'more', workers=1)
        assert rows(search.store) == before
        search.add(folder / 'more', workers=1)
        assert len(search.store.files()) == 3


@pytest.mark.parametrize(('change', 'message'), [
    ("UPDATE contents SET vectors = x'00'", 'content 1 is not of whole clips'),
    ('UPDATE contents SET vectors = zeroblob(2 * length(vectors))', 'of 256 numbers and not 128'),
    ("UPDATE contents SET spans = 'text'", 'content 1 is not of whole clips'),
    ("UPDATE settings SET value = '-1' WHERE key = 'width'", 'vectors of -1 numbers'),
    ("UPDATE settings SET value = '\"wide\"' WHERE key = 'width'", "the setting 'width' is 'wide'"),
    ("UPDATE settings SET value = '{' WHERE key = 'window'", "the setting 'window'"),
    ("UPDATE settings SET value = '7' WHERE key = 'checkpoint'", "the setting 'checkpoint' is 7"),
    ("DELETE FROM settings WHERE key = 'weights'", "the setting 'weights' is None"),
    ("UPDATE contents SET vectors = CAST(x'007e' || substr(vectors, 3) AS BLOB)",
     'some vectors are no numbers')])
def test_rows_that_another_program_wrote_are_named(folder, change, message):
    videos = write_videos(folder / 'videos', [30])
    with open_search(folder) as search:
        search.add(videos, workers=1)
    db = sqlite3.connect(folder / 'my.index')
    db.execute(change)
    db.commit()
    db.close()
    with pytest.raises(ValueError, match=rf"my\.index' is damaged: .*{message}.*--rebuild"), \
            open_search(folder) as search:
        search.search('x')


def test_an_index_from_a_stranger_runs_nothing(folder):
    """Its settings are data: types are looked up in the registries alone."""
    videos = write_videos(folder / 'videos', [6])
    with open_search(folder) as search:
        search.add(videos, workers=1)
    db = sqlite3.connect(folder / 'my.index')
    db.execute("UPDATE settings SET value = ? WHERE key = 'model'",
               ['{"type": "os.system", "command": "touch ' + str(folder / 'ran') + '"}'])
    db.commit()
    db.close()
    with VideoSearch(folder / 'my.index', device='cpu') as search, pytest.raises(
            ValueError, match=r"asks for 'os.system'.*give the config"):
        search.search('x')
    assert not (folder / 'ran').exists()


@pytest.mark.parametrize('place', ['model', 'model.backbone'])
def test_an_index_from_a_stranger_connects_to_nobody(folder, place):
    videos = write_videos(folder / 'videos', [6])
    with open_search(folder) as search:
        search.add(videos, workers=1)
        model = search.store.settings['model']
    node = model if place == 'model' else model['backbone']
    node['init_cfg'] = dict(type='Pretrained', checkpoint='http://127.0.0.1:9/x.pth')
    store = IndexStore(folder / 'my.index', create=True)
    store.set(dict(model=model))
    store.close()
    with VideoSearch(folder / 'my.index', device='cpu') as search, pytest.raises(
            ValueError, match=r"weights from 'http://127.0.0.1:9/x.pth', which is no file"):
        search.search('x')


def test_what_a_stranger_wrote_does_not_steer_the_terminal(folder):
    videos = write_videos(folder / 'videos', [6])
    with open_search(folder) as search:
        search.add(videos, workers=1)
        search.add(folder / 'model.pth', workers=1)  # is no video
    db = sqlite3.connect(folder / 'my.index')
    db.execute("UPDATE files SET reason = char(27) || '[31m evil' || char(10) || 'a line' "
               'WHERE reason IS NOT NULL')
    db.execute("UPDATE settings SET value = '\"a\\u001b[31m\"' WHERE key = 'name'")
    db.commit()
    db.close()
    said = '\n'.join(info_lines(IndexStore(folder / 'my.index')))
    assert 'evil' in said
    assert '\x1b' not in said
    assert '\na line' not in said


class LosingStore(IndexStore):
    """As one on a server that was killed: rows of some files are gone when all have written."""

    def __init__(self, *args, lose, **kwargs):
        super().__init__(*args, **kwargs)
        self.lose = lose

    def settle(self):
        names = {os.path.basename(path): path for path in self.files()}
        lost = [names[name] for name in (self.lose.pop(0) if self.lose else []) if name in names]
        self.remove(lost)
        return len(lost)


def test_what_a_store_has_lost_is_read_again_by_the_same_run(tmp_path):
    videos = write_videos(tmp_path / 'videos', [6, 7, 8])
    shutil.copy(videos / '0.mp4', videos / 'copy.mp4')
    (videos / 'bad.mp4').write_bytes(b'no video')
    frames, found = ClipFrames(pipeline(), 2, 1), []
    model = build_model().eval()
    with VideoWorkers(1, pipeline(), 2, 1) as processes:
        for lose in ([], [['0.mp4', 'copy.mp4', '2.mp4'], ['2.mp4']], [['1.mp4']] * 9):
            store = LosingStore(tmp_path / f'{len(found)}', create=True, lose=lose)
            indexer = Indexer(store, model, frames.num_frames, processes)
            counts = indexer.run([str(videos)]).counts
            assert counts['again'] == [0, 4, 2][len(found)]
            assert counts['indexed'] == 3
            assert (counts['known'], counts['unreadable']) == (1, 1)
            found.append(rows(store))
    assert found[0] == found[1]
    # in the end it is left to the next run, and not tried for ever
    assert found[2] == {name: row for name, row in found[0].items() if name != '1.mp4'}
