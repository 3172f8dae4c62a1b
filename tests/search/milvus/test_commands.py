"""Commands, the page and several processes on an index in Milvus."""
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmc2v.search import VideoSearch
from mmc2v.search.stores import open_store

from ..common import rows, write_model, write_videos
from ..web.common import Server, wait_for

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('folder')
    write_model(folder)
    write_videos(folder / 'videos', [8 + 3 * number for number in range(9)])
    (folder / 'videos' / 'copy.mp4').write_bytes((folder / 'videos' / '3.mp4').read_bytes())
    (folder / 'videos' / 'bad.mp4').write_bytes(b'no video')
    return folder


def options(folder):
    return ['--config', str(folder / 'config.py'), '--checkpoint', str(folder / 'model.pth'),
            '--precision', 'float32', '--device', 'cpu', '--window', '2', '--stride', '1',
            '--workers', '1']


def search(*args, code=0):
    done = subprocess.run([sys.executable, str(ROOT / 'tools' / 'search.py'), *map(str, args)],
                          capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == code, done.stderr[-3000:]
    return done.stdout if code == 0 else done.stderr


def test_commands_take_an_address_in_place_of_a_file(folder, address):
    text = search('index', folder / 'videos', '--store', address, *options(folder))
    assert '9 indexed, 1 known by their content, 1 unreadable' in text
    assert f'ask: python tools/search.py query --store {address}' in text
    assert 'files       11, of which 1 are unreadable' in search('info', '--store', address)
    assert search('verify', '--store', address) == '0 problems\n'
    found = json.loads(search('query', 'a red ring', '--store', address, '--json'))
    assert len(found['results']) == 9
    store = open_store(address)
    before = rows(store)
    store._call('drop_collection', store._files)
    broken = search('info', '--store', address, code=1)
    assert 'is damaged' in broken
    assert '--rebuild' in broken
    search('index', folder / 'videos', '--store', address, '--rebuild', *options(folder))
    assert rows(open_store(address)) == before
    assert 'is a collection of something else' in search(
        'index', folder / 'videos', '--store', f'{address}_files', '--rebuild', *options(folder),
        code=1)
    assert rows(open_store(address)) == before
    assert '11 files forgotten' in search('remove', folder / 'videos', '--store', address)
    wrong = search('info', '--store', 'http://127.0.0.1:1/x', code=1)
    assert wrong.startswith("error: the store 'http://127.0.0.1:1/x' cannot be reached")
    assert wrong.count('\n') == 1


def test_one_and_two_and_four_processes_make_the_same_index(folder, address, tmp_path):
    """See test_ranks.py for those that write into a file."""
    search('index', folder / 'videos', '--index', tmp_path / 'my.index', *options(folder))
    expected = rows(open_store(str(tmp_path / 'my.index')))
    assert len(expected) == 11
    for count in (1, 2, 4):
        subprocess.run(
            ['bash', str(ROOT / 'tools' / 'dist_search.sh'), 'index', folder / 'videos', '--store',
             f'{address}_{count}', *options(folder), str(count)], check=True, timeout=300,
            env=dict(os.environ, OMP_NUM_THREADS='1', PORT=str(29700 + count),
                     PYTHON=sys.executable))
        assert rows(open_store(f'{address}_{count}')) == expected


def test_the_page_answers_from_a_store(folder, address):
    search('index', folder / 'videos', '--store', address, *options(folder))
    with Server(VideoSearch(address, device='cpu')) as server:
        wait_for(server.is_ready)
        found = server.ask('/api/search?q=a+red+ring')[2]
        assert len(found['results']) >= 9
        best = found['results'][0]
        clip = server.ask(f'/api/clips/{best["id"]}')[2]
        assert (clip['start'], clip['end']) == (best['start'], best['end'])
        like = server.ask(f'/api/search?clip={best["id"]}')[2]
        assert like['results']
        assert best['id'] not in {one['id'] for one in like['results']}
        assert server.ask('/api/search?q=ring&folder=videos')[2]['results']
        assert not server.ask('/api/search?q=ring&min_length=1000')[2]['results']
        status = server.ask('/api/status')[2]
        assert (status['state'], status['videos'], status['unreadable']) == ('ready', 9, 1)
        assert status['folders'] == [dict(name='videos', videos=10)]
        assert server.ask(f'/api/clips/{best["id"]}/thumbnail')[2][:2] == b'\xff\xd8'
