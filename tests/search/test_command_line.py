"""Search as users call it: the script, the module, and the lines of the README."""
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys

import pytest
from PIL import Image

from mmc2v.search import VideoSearch
from mmc2v.search.store import IndexStore

from ..tiny import ROOT, random_video
from ..tools.test_command_lines import run
from .common import open_search, rows, write_model, write_videos


@pytest.fixture
def folder(tmp_path):
    write_model(tmp_path)
    write_videos(tmp_path / 'videos')
    (tmp_path / 'videos' / 'broken.mp4').write_bytes(b'no video')
    return tmp_path


def search(folder, command, *args, code=0, index='my.index'):
    """Run the tool in this process, whose server of processes is there; return what it says."""
    found, said, shown = run('search.py', command, *args, '--index', folder / index)
    assert found == code, said
    return shown + said * bool(code)


def index(folder, *args, **kwargs):
    return search(folder, 'index', folder / 'videos', '--config', folder / 'config.py',
                  '--checkpoint', folder / 'model.pth', '--window', 2, '--device', 'cpu',
                  '--workers', 1, *args, **kwargs)


def test_from_a_folder_to_moments(folder):
    said = index(folder)
    assert 'model: config with model.pth' in said
    assert 'windows of 2 s every 1 s' in said
    assert '3 indexed, 1 unreadable in' in said
    assert re.search(r"unreadable:\n  .*broken\.mp4: ", said)
    shown = search(folder, 'query', 'a dog', '--show', folder / 'hits.png', '--top', 2)
    assert re.search(r'^   1  [ -]\d\.\d{3}  +[+-]\d\.\d #* +0:\d\d\.\d - 0:\d\d\.\d  .*\.mp4$',
                     shown, re.M)
    assert 'rank' in shown.splitlines()[0]
    assert Image.open(folder / 'hits.png').size[1] > 300
    info = search(folder, 'info')
    assert 'files       4, of which 1 are unreadable' in info
    assert 'broken.mp4: ' in info
    assert search(folder, 'verify') == '0 problems\n'
    assert '1 files forgotten' in search(folder, 'remove', folder / 'videos' / '1.mp4')


def test_json_is_one_document_as_documented(folder):
    index(folder)
    page = (ROOT / 'docs' / 'search.md').read_text()
    documented = json.loads(re.search(r'```json\n(.*?)```', page, re.S)[1])
    (folder / 'clip.mp4').write_bytes((folder / 'videos' / '0.mp4').read_bytes())
    for args, kind in ((['a dog'], 'sentence'), (['--video', folder / 'clip.mp4'], 'video')):
        found = json.loads(search(folder, 'query', *args, '--json'))
        assert found['kind'] == kind
        assert found.keys() == documented.keys()
        result, example = found['results'][0], documented['results'][0]
        assert result.keys() == example.keys()
        assert result['moments'][0].keys() == example['moments'][0].keys()
        assert {type(value) for value in result['moments'][0].values()} == {float}


def test_verify_says_what_to_do_and_fails(folder):
    index(folder)
    with sqlite3.connect(folder / 'my.index') as db:
        db.execute('UPDATE contents SET vectors = zeroblob(length(vectors)) WHERE id = 1')
    said = search(folder, 'verify', code=1)
    assert 'content 1: a vector has the length 0.000 and not 1. Make the index anew' in said
    assert '1 problems' in said


def test_rebuilding_takes_another_model_and_replaces_the_index_whole(folder):
    index(folder)
    before = rows(IndexStore(folder / 'my.index'))
    write_model(folder, seed=5)
    said = index(folder, code=1)
    assert 'other weights' in said
    assert '--rebuild' in said
    assert rows(IndexStore(folder / 'my.index')) == before
    index(folder, '--rebuild')
    after = rows(IndexStore(folder / 'my.index'))
    assert after.keys() == before.keys()
    assert after['0.mp4'] != before['0.mp4']
    assert not list(folder.glob('*.rebuild*'))


def test_rebuilding_goes_on_with_what_an_interrupted_run_has_made(folder):
    index(folder)
    with open_search(folder, 'my.index.rebuild') as unfinished:
        unfinished.add(folder / 'videos' / '0.mp4', workers=1)
    reader = IndexStore(folder / 'my.index')
    version = reader.version
    said = index(folder, '--rebuild', '--precision', 'float32')
    assert '2 indexed' in said
    assert reader.version != version  # a reader goes on
    assert len(reader.files()) == 4
    assert not list(folder.glob('*.rebuild*'))
    with open_search(folder, 'my.index.rebuild') as unfinished:
        unfinished.add(folder / 'videos' / '0.mp4', workers=1)
    write_model(folder, seed=5)  # what is unfinished is of another model
    index(folder, '--rebuild')
    assert search(folder, 'verify') == '0 problems\n'


def test_rebuilding_replaces_damaged_indexes_and_no_other_files(folder):
    index(folder)
    path = folder / 'my.index'
    whole = rows(IndexStore(path))
    path.write_bytes(path.read_bytes()[:3000])
    assert '--rebuild' in index(folder, code=1)
    index(folder, '--rebuild')
    assert rows(IndexStore(path)) == whole
    path.write_text('notes of somebody, for which nobody has a copy')
    assert 'is no index of mmc2v and stays as it is' in index(folder, '--rebuild', code=1)
    assert path.read_text().startswith('notes')


def test_the_module_is_the_script(folder):
    index(folder)
    done = subprocess.run([sys.executable, '-m', 'mmc2v.search', 'verify', '--index',
                           folder / 'my.index'], capture_output=True, text=True, check=False)
    assert done.stdout == '0 problems\n', done.stderr


def test_the_lines_of_the_readme(folder, monkeypatch, capsys):
    index(folder)
    videos = folder / 'data' / 'long_moving_shapes'
    shutil.copytree(folder / 'videos', videos)
    random_video(videos / 'long003.mp4', num_frames=9, seed=77)
    (folder / 'work_dirs' / 'demo').mkdir(parents=True)
    (folder / 'my.index').rename(folder / 'work_dirs' / 'demo' / 'demo.index')
    monkeypatch.chdir(folder)
    readme = (ROOT / 'README.md').read_text()
    [lines] = [block for block in re.findall(r'```python\n(.*?)```', readme, re.S)
               if 'VideoSearch' in block]
    exec(compile(lines, 'README.md', 'exec'), {})
    assert len(capsys.readouterr().out.splitlines()) == 3
    with VideoSearch('work_dirs/demo/demo.index') as opened:
        known = opened.store.files()
    assert str(videos / '0.mp4') in known
    assert str(videos / 'long003.mp4') not in known


def test_a_script_needs_no_guard(folder):
    """Processes that decode do not run the user's script again."""
    (folder / 'script.py').write_text("""
from mmc2v.search import VideoSearch
print('begun')
with VideoSearch('my.index', 'config.py', 'model.pth', window=2, device='cpu') as search:
    print(search.add('videos', workers=1).counts['indexed'])
""")
    done = subprocess.run([sys.executable, 'script.py'], cwd=folder, capture_output=True,
                          text=True, check=False, timeout=120)
    assert done.stdout.splitlines()[0] == 'begun'
    assert done.stdout.splitlines()[-1] == '3'
    assert done.stdout.count('begun') == 1
    assert 'Traceback' not in done.stderr


def test_without_a_model_and_a_network_it_says_what_training_says(folder):
    # a new Python: the hub's client reads at its import that there is no network
    said = subprocess.run([sys.executable, ROOT / 'tools' / 'search.py', 'index', folder / 'videos',
                           '--index', folder / 'zero'], capture_output=True, text=True,
                          check=False, timeout=120, env={**os.environ, 'HF_HUB_OFFLINE': '1'})
    assert said.returncode == 1
    assert 'PE-Core-B-16 could not be downloaded' in said.stderr
    assert 'model.pretrained' in said.stderr
    assert 'Traceback' not in said.stderr
    assert 'zero-shot CLIP. It sees what is in frames, and not' in said.stdout
