"""The page on one's own data, run as it stands: its commands, then its Python."""
import csv
import json
import re
import runpy
import shlex
import sys

import pytest

from .tiny import ARCH, NECKS, ROOT, TAB, random_video

# In the place of configs/clip2video_custom.py: the same, with a model and loaders for a test.
TINY = f'''
_base_ = ['{ROOT}/configs/clip2video_custom.py']
tiny_arch = {dict(ARCH, vision_cfg=dict(ARCH['vision_cfg'], image_size=224, patch_size=112))}
model = dict(
    pretrained=None, backbone=dict(arch=dict(tiny_arch, _delete_=True)),
    text_backbone=dict(arch=dict(tiny_arch, _delete_=True)),
    neck=dict({NECKS['tdb-attention-differences']}, _delete_=True),
    head=dict(embed_dim=64, alignment=dict({TAB}, _delete_=True)))
loader = dict(batch_size=4, num_workers=0, persistent_workers=False)
train_dataloader = loader
val_dataloader = loader
test_dataloader = loader
'''
NAMES = [f'{folder}/{number:03d}.mp4' for folder in ('kitchen', 'street') for number in range(5)]


@pytest.fixture(scope='module')
def page():
    """Commands and Python blocks of docs/own_data.md."""
    text = (ROOT / 'docs' / 'own_data.md').read_text()
    return (re.findall(r'^    python (\S+) (.*)$', text, re.M),
            re.findall(r'```python\n(.*?)```', text, re.S))


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """What a user starts from, and the tiny config under the name of the real one."""
    folder = tmp_path_factory.mktemp('own')
    for seed, name in enumerate(NAMES):
        path = folder / 'data/custom/videos' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        random_video(path, num_frames=6, size=(32, 48), seed=seed)
    (folder / 'data/custom/videos/broken.mov').write_bytes(b'no video')
    with (folder / 'captions.csv').open('w', newline='') as file:
        rows = csv.writer(file)
        rows.writerow(['video', 'caption', 'split'])
        splits = ['train'] * 3 + ['val', 'test']
        rows.writerows((name, f'video {name}, told in way {way}', split)
                       for name, split in zip(NAMES, 2 * splits) for way in range(2))
        rows.writerow(['broken.mov', 'nobody knows', 'train'])
    (folder / 'configs').mkdir()
    (folder / 'configs/clip2video_custom.py').write_text(TINY)
    return folder


def test_the_page_runs(page, folder, monkeypatch, capsys):
    commands, blocks = page
    assert [tool for tool, _ in commands] == ['tools/dataset_converters/custom.py',
                                              'tools/train.py', 'tools/test.py']
    monkeypatch.chdir(folder)
    for tool, arguments in commands:
        monkeypatch.setattr(sys, 'argv', [tool, *shlex.split(arguments)])
        runpy.run_path(str(ROOT / tool), run_name='__main__')
    printed = capsys.readouterr().out
    assert '2 videos, 4 captions' in printed
    assert list(json.loads((folder / 'data/custom/undecodable.json').read_text())) == ['broken.mov']
    figures = json.loads((folder / 'work_dirs/custom.json').read_text())
    assert 0 <= figures['t2v/R1'] <= 100
    assert figures['captions'] == 4
    work_dir = folder / 'work_dirs/clip2video_custom'
    assert list(work_dir.glob('best_t2v_R1_epoch_*.pth'))
    assert json.loads((work_dir / 'best_and_last.json').read_text())['annotation'] == 'val.json'
    log = min(work_dir.glob('*/*.log')).read_text()  # of the training, which came first
    assert "1 of 7 videos of 'data/custom/train.json' are excluded" in log
    names = {}
    for number, block in enumerate(blocks, 1):
        exec(compile(block, f'docs/own_data.md, block {number}', 'exec'), names)
    found = capsys.readouterr().out.splitlines()
    assert all(re.fullmatch(r'-?0\.\d{3}  data/custom/videos/\w+/00\d\.mp4', line)
               for line in found[-6:-1])
    assert found[-1] in ('kitchen/004.mp4', 'street/004.mp4')


def test_what_the_page_writes_is_what_the_converter_reads(page, folder, monkeypatch, tmp_path):
    """The table and the JSON that the page shows."""
    text = (ROOT / 'docs' / 'own_data.md').read_text()
    table = re.search(r'((?:    .*\n)+)', text[text.index('    video,caption'):]).group(1)
    (tmp_path / 'captions.csv').write_text(re.sub('^    ', '', table, flags=re.M))
    entry, = re.findall(r'`(\{"video": .*?\})`', text)
    (tmp_path / 'captions.jsonl').write_text(entry + '\n')
    found = []
    for name in ('captions.csv', 'captions.jsonl'):
        monkeypatch.setattr(sys, 'argv', ['custom.py', '--captions', str(tmp_path / name), '--out',
                                          str(tmp_path / 'out'), '--test-share', '1',
                                          '--val-share', '0'])
        runpy.run_path(str(ROOT / 'tools/dataset_converters/custom.py'), run_name='__main__')
        found.append(json.loads((tmp_path / 'out/test.json').read_text()))
    assert found == [
        {'kitchen/001.mp4': ['a man cuts an onion', 'somebody is preparing vegetables'],
         'street/001.mov': ['a red car stops, and a dog gets out']},
        {'kitchen/001.mp4': ['a man cuts an onion']}]
