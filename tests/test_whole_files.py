"""Files are old or new and never between."""
import os

import pytest

from mmc2v.whole_files import make_whole_folder, open_whole, remove_partials, write_whole

from .tiny import full_disk


def test_a_file_is_old_or_new_and_never_between(tmp_path, monkeypatch):
    path = tmp_path / 'folder' / 'file'
    write_whole(path, b'old')
    monkeypatch.setattr(os, 'replace', lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        write_whole(path, b'new content')
    assert path.read_bytes() == b'old'
    monkeypatch.undo()
    write_whole(path, b'new content')
    assert path.read_bytes() == b'new content'
    assert os.listdir(path.parent) == ['file']


def test_a_folder_is_old_or_new_and_never_between(tmp_path):
    folder = tmp_path / 'set'
    with make_whole_folder(folder) as made:
        (made / 'old').touch()
    with full_disk(), pytest.raises(OSError, match="set'"), make_whole_folder(folder) as made:
        (made / 'new').write_bytes(bytes(301))
    assert [path.name for path in tmp_path.rglob('*')] == ['set', 'old']
    with make_whole_folder(folder) as made:
        (made / 'new').touch()
    assert [path.name for path in tmp_path.rglob('*')] == ['set', 'new']


def test_two_writers_of_one_file_do_not_mix(tmp_path):
    path = tmp_path / 'epoch_1.pth'
    with open_whole(path) as first:
        first.write(b'a' * 9)
        first.flush()
        write_whole(path, b'bbb')
        assert path.read_bytes() == b'bbb'
    assert path.read_bytes() == b'a' * 9


def test_the_disk_has_the_content_before_the_name_and_then_the_name(tmp_path, monkeypatch):
    done = []
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, 'fsync', lambda file: (done.append('sync'), sync(file)))
    monkeypatch.setattr(os, 'replace', lambda *names: (done.append('name'), replace(*names)))
    write_whole(tmp_path / 'file', b'content')
    assert done == ['sync', 'name', 'sync']


def test_what_killed_writers_left_is_removed_and_nothing_else(tmp_path):
    for name in ('epoch_1.pth.0123abcd.partial', 'epoch_1.pth', 'mine.partial'):
        (tmp_path / name).touch()
    remove_partials(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ['epoch_1.pth', 'mine.partial']
