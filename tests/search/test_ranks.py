"""Addresses of stores, and which process takes which file; tests/search/milvus has the rest."""
import functools
import operator
import os
import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import pytest

from mmc2v.search.milvus import _path, _text
from mmc2v.search.milvus_connection import parse_address
from mmc2v.search.ranks import Ranks
from mmc2v.search.stores import beside, is_remote, open_store, option
from mmc2v.search.verify import problems_of

from ..tiny import ROOT
from .common import open_search, rows, wait_for, write_model, write_videos


@pytest.mark.parametrize(('address', 'place'), [
    ('http://milvus:19531/videos', ('http://milvus:19531', '', 'videos', {})),
    ('https://milvus/team/videos/', ('https://milvus:19530', 'team', 'videos', {})),
    ('http://[::1]:1/v?nprobe=64', ('http://[::1]:1', '', 'v', {'nprobe': 64}))])
def test_addresses_are_read(address, place):
    assert tuple(parse_address(address)) == place
    assert is_remote(address)


@pytest.mark.parametrize(('address', 'message'), [
    ('http://milvus:19530', 'has the form'), ('http://milvus/a/b/c', 'has the form'),
    ('http://milvus/9a', 'letters, digits'), ('http://milvus:99999/a', 'is no address'),
    ('http://me:secret@milvus/a', 'MMC2V_MILVUS_TOKEN'), ('http://milvus/a?n=x', 'whole numbers')])
def test_addresses_that_cannot_be_are_refused(address, message):
    with pytest.raises(ValueError, match=message) as found:
        parse_address(address)
    assert 'secret' not in str(found.value)


def test_names_of_indexes():
    assert not is_remote('my.index')
    assert beside('http://h/v?ef=9', 'rebuild') == 'http://h/v_rebuild?ef=9'
    assert beside('my.index', 'rebuild') == 'my.index.rebuild'
    assert option('http://h/v?ef=9') == "--store 'http://h/v?ef=9'"


@pytest.mark.parametrize('path', [b'/a/\xff\\x41.mp4', 'ü\\\\x\n'.encode(), b'/plain.mp4'])
def test_paths_are_texts_and_back(path):
    text = _text(os.fsdecode(path))
    assert os.fsencode(_path(text)) == path
    text.encode()


def test_each_file_is_of_one_process():
    paths = [f'/videos/{number}.mp4' for number in range(400)]
    taken = [[path for path in paths if Ranks(rank, 4).takes(path)] for rank in range(4)]
    assert sorted(functools.reduce(operator.iadd, taken, [])) == sorted(paths)
    assert min(map(len, taken)) > 60


def test_a_file_is_not_written_from_several_nodes(tmp_path):
    with pytest.raises(ValueError, match='several nodes give --store'), Ranks(1, 4, 2).writing(
            str(tmp_path / 'index')):
        pass


def test_several_processes_make_the_index_of_one(tmp_path):
    write_model(tmp_path)
    videos = write_videos(tmp_path / 'videos', [8 + 3 * number for number in range(6)])
    (videos / 'copy.mp4').write_bytes((videos / '3.mp4').read_bytes())
    (videos / 'bad.mp4').write_bytes(b'no video')
    index = tmp_path / '3.index'
    done = subprocess.run(
        ['bash', str(ROOT / 'tools' / 'dist_search.sh'), 'index', videos, '--index', index,
         '--config', tmp_path / 'config.py', '--checkpoint', tmp_path / 'model.pth',
         '--device', 'cpu', '--precision', 'float32', '--window', '2', '--stride', '1',
         '--workers', '1', '3'], check=False, capture_output=True, text=True, timeout=300,
        env=dict(os.environ, OMP_NUM_THREADS='1', PORT='29663', PYTHON=sys.executable))
    assert done.returncode == 0, done.stderr[-2000:]
    # two that read the same content at the same time have both indexed it
    assert re.search('6 indexed, 1 known by their content, 1 unreadable|7 indexed, 1 unread',
                     done.stdout)
    with open_search(tmp_path, '1.index') as search:
        search.add(videos, workers=1)
        expected = rows(search.store)
    assert len(expected) == 8
    with closing(open_store(str(index))) as store:
        assert rows(store) == expected


def test_a_process_that_dies_leaves_its_files_for_the_next_run(tmp_path):
    write_model(tmp_path)
    videos = write_videos(tmp_path / 'videos', [200 + number for number in range(30)])
    index = tmp_path / 'my.index'
    command = ['bash', str(ROOT / 'tools' / 'dist_search.sh'), 'index', videos, '--index', index,
               '--config', tmp_path / 'config.py', '--checkpoint', tmp_path / 'model.pth',
               '--device', 'cpu', '--precision', 'float32', '--window', '2', '--stride', '1',
               '--workers', '1', '2']
    environment = dict(os.environ, OMP_NUM_THREADS='1', PORT='29670',
                       PYTHON=sys.executable)
    with (tmp_path / 'output').open('w+') as output, subprocess.Popen(
            command, env=environment, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True) as running:
        try:
            wait_for(lambda: running.poll() is not None or _count_of(index) >= 2, seconds=120)
            os.kill(_process_of(str(index), 1), signal.SIGKILL)
            assert running.wait(timeout=120) != 0, (tmp_path / 'output').read_text()[-2000:]
        finally:
            with suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)
    with closing(open_store(str(index))) as store:
        assert 2 <= len(store.files()) < 30
        assert problems_of(store) == []
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True,
                          timeout=300)
    assert 'unchanged' in done.stdout
    with closing(open_store(str(index))) as store:
        assert len(store.files()) == 30
        assert problems_of(store) == []


def _count_of(index):
    """How many files are in an index that is perhaps not there yet."""
    try:
        with closing(sqlite3.connect(f'file:{index}?mode=ro', uri=True)) as db:
            return db.execute('SELECT count(*) FROM files').fetchone()[0]
    except sqlite3.Error:
        return 0


def _process_of(index, rank):
    """The process of a rank that writes into an index, among all that run."""
    for folder in Path('/proc').glob('[0-9]*'):
        with suppress(OSError):
            command = (folder / 'cmdline').read_bytes().split(b'\0')
            environment = (folder / 'environ').read_bytes().split(b'\0')
            if (index.encode() in command and f'RANK={rank}'.encode() in environment
                    and any(part.endswith(b'search.py') for part in command[:3])):
                return int(folder.name)
    raise AssertionError(f'there is no process of rank {rank}')
