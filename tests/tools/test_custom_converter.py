"""The converter of one's own data: what it reads, how it splits, what it refuses."""
import json
import sys

import pytest
from preparation import RandomSplit

from ..models import golden

VIDEOS = ('cats/1.mp4', 'cats/2.MOV', 'dogs/1.mp4', 'top.webm', 'dogs/3.avi')
ROWS = [('cats/1.mp4', 'a cat sits, "still"', 'train'), ('cats/2', 'ein Kätzchen', 'train'),
        ('dogs/1.mp4', 'a dog', 'val'), ('cats/1.mp4', 'a cat', 'train'), ('top', '猫', 'test'),
        ('dogs\\3.avi', 'a dog runs', 'train')]
SPLITS = {'train': {'cats/1.mp4': ['a cat sits, "still"', 'a cat'], 'cats/2.MOV': ['ein Kätzchen'],
                    'dogs/3.avi': ['a dog runs']},
          'val': {'dogs/1.mp4': ['a dog']}, 'test': {'top.webm': ['猫']}}
OBJECTS = [dict(zip(('video', 'caption', 'split'), row)) for row in ROWS]


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Convert a file of captions; return the JSON files and what was printed."""
    for name in VIDEOS:
        (tmp_path / 'videos' / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / 'videos' / name).write_bytes(b'')
    tool = golden.load_tool('dataset_converters/custom.py')

    def convert(name, content, *args, videos=tmp_path / 'videos', out=tmp_path / 'out'):
        captions = tmp_path / name
        captions.write_bytes(content if isinstance(content, bytes) else content.encode())
        given = [] if videos is None else ['--videos', videos]
        monkeypatch.setattr(sys, 'argv', ['x', *map(str, (
            '--captions', captions, *given, '--out', out, *args))])
        tool.main()
        return ({path.stem: json.loads(path.read_text()) for path in out.glob('*.json')},
                capsys.readouterr())
    return convert


def table(separator, newline='\n', rows=ROWS, columns=('video', 'caption', 'split')):
    quoted = [['"' + cell.replace('"', '""') + '"' if '"' in cell else cell for cell in row]
              for row in (columns, *rows)]
    return newline.join(separator.join(row) for row in quoted) + newline


@pytest.mark.parametrize(('name', 'content'), [
    ('captions.csv', table(',')),
    ('windows.CSV', '\ufeff' + table(',', '\r\n')),
    ('captions.tsv', table('\t')),
    ('captions.jsonl', ''.join(json.dumps(entry, ensure_ascii=False) + '\n' for entry in OBJECTS)),
    ('captions.json', json.dumps(OBJECTS)),
    ('lists.json', '\ufeff' + json.dumps([
        dict(video='cats/1', caption=['a cat sits, "still"', 'a cat'], split='train'),
        dict(video='cats/2', caption='ein Kätzchen', split='train'),
        dict(video='top', caption=['猫'], split='test'),
        dict(video='dogs/3', caption='a dog runs', split='train'),
        dict(video='dogs/1.mp4', caption=['a dog'], split='validation')])),
])
def test_formats(name, content, run):
    files, printed = run(name, content)
    assert printed.err == ''
    assert {split: files[split] for split in SPLITS} == SPLITS
    assert files['report']['annotations'] == [name]
    assert files['report']['notes'] == ['split as the file says']
    assert 'test.json' in printed.out


def test_mmactions_form_is_split_at_random(run):
    content = {name: [f'{name} {i}' for i in range(2)] for name in VIDEOS}
    files, printed = run('captions.json', json.dumps(content), '--val-share', '.2', '--test-share',
                         '.4', '--seed', '3')
    assert {**files['train'], **files['val'], **files['test']} == content
    assert [len(files[split]) for split in ('train', 'val', 'test')] == [2, 1, 2]
    note = 'split at random by video: 0.2 for val, 0.4 for test, seed 3'
    assert files['report']['notes'] == [note]
    assert note in printed.out


def test_cells_may_span_lines_and_rows_are_counted_as_lines(run):
    rows = ('video,caption,split,length\ntop,"two\nlines",test,7\n', 'top,,test,7\n')
    files, printed = run('captions.csv', rows[0])
    assert files['test'] == {'top.webm': ['two lines']}
    assert "not used: ['length']" in printed.out
    with pytest.raises(SystemExit, match=r"captions\.csv', row 4: the caption is empty"):
        run('captions.csv', ''.join(rows))


def test_absolute_paths_lie_in_the_folder_of_videos(run, tmp_path):
    (tmp_path / 'link').symlink_to(tmp_path / 'videos')
    rows = [(str(tmp_path / folder / 'cats' / '1.mp4'), 'a cat') for folder in ('videos', 'link')]
    files, _ = run('captions.csv', table(',', rows=rows, columns=('video', 'caption')),
                   '--test-share', '1', '--val-share', '0')
    assert files['test'] == {'cats/1.mp4': ['a cat', 'a cat']}
    assert set(files) == {'test', 'report'}
    for video in (tmp_path / 'elsewhere' / '1.mp4', '../1.mp4'):
        with pytest.raises(SystemExit, match=r"row 2: the video '.*1\.mp4' is outside the folder"):
            run('captions.csv', f'video,caption\n{video},a cat\n')
    with pytest.raises(SystemExit, match=r"row 2: the absolute path .* needs --videos"):
        run('captions.csv', f'video,caption\n{tmp_path}/1.mp4,a cat\n', videos=None)


def test_names_that_begin_with_dots_are_names(run, tmp_path):
    (tmp_path / 'videos' / '..a.mp4').touch()
    files, _ = run('captions.csv', 'video,caption,split\n./..a.mp4,a cat,test\n')
    assert files['test'] == {'..a.mp4': ['a cat']}
    for name in ('..', 'x' * 5000):
        with pytest.raises(SystemExit, match=rf"^error: '.*captions\.csv', row 2: .*'{name[:9]}"):
            run('captions.csv', f'video,caption,split\n{name},a cat,test\n')


def test_a_report_of_something_else_is_not_overwritten(run, tmp_path):
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / 'report.json').write_text('{"tests": 3}')
    with pytest.raises(SystemExit, match=r"out/report\.json' is not the report of one of our"):
        run('captions.csv', table(','))
    assert (tmp_path / 'out' / 'report.json').read_text() == '{"tests": 3}'


def test_missing_videos_and_repeated_captions_are_reported(run):
    rows = [*ROWS, ('gone', 'x', 'train'), ('top', '猫', 'test')]
    files, printed = run('captions.csv', table(',', rows=rows))
    assert files['report']['splits']['train']['missing'] == ['gone']
    assert 'WARNING train: 1 of 4 videos are missing and left out' in printed.err
    assert files['test'] == {'top.webm': ['猫', '猫']}
    assert 'WARNING 1 rows repeat a caption of their video' in printed.err
    assert run('captions.csv', table(',', rows=rows), videos=None)[0]['train'][
        'cats/2.mp4'] == ['ein Kätzchen']


def test_splits_of_an_earlier_run_do_not_stay(run):
    assert 'val' in run('captions.csv', table(','))[0]
    assert set(run('captions.csv', table(',', rows=ROWS[:1]))[0]) == {'train', 'report'}


REFUSED = {
    'column': ('x.csv', 'Video,text\na,b\n', r"row 1: expected the columns \['video', 'caption'\]"),
    'split': ('x.csv', 'video,caption,split\ntop,x,dev\n', r"row 2: the split must be train, val"),
    'two splits': ('x.csv', table(',', rows=[*ROWS, ('top', 'x', 'train')]),
                   r"row 8: the video 'top' is in train, but in test at '.*x\.csv', row 6"),
    'two names': ('x.csv', table(',', rows=[*ROWS, ('top.webm', 'x', 'train')]),
                  r"'top\.webm' and 'top' are listed as two videos"),
    'no split': ('x.json', json.dumps([*OBJECTS, dict(video='top', caption='x')]),
                 r"entry 7: the split must be train, val or test, found None"),
    'no object': ('x.jsonl', '{"video": "top", "caption": "x"}\n["top"]\n',
                  r"row 2: expected video and caption"),
    'no name': ('x.json', '[{"video": 3, "caption": "x"}]', r"entry 1: expected the name of a vid"),
    'no caption': ('x.json', '{"top": []}', r"video 'top': expected a caption, or a list"),
    'null': ('x.json', '{"top": ["a", null]}', r"video 'top', caption 2: expected a caption"),
    'blank': ('x.csv', 'video,caption\n ,x\n', r"row 2: expected the name of a video, found ''"),
    'empty': ('x.json', '[]', r"'.*x\.json' is empty"),
    'JSON': ('x.jsonl', '{"video": "top", "caption": "x"}\n{"video" "top"}\n',
             r"row 2, column 10: not JSON"),
    'kind': ('x.xlsx', 'PK', r"expected a \.csv, \.tsv, \.json or \.jsonl"),
    'few': ('x.csv', table(',', rows=[row[:2] for row in ROWS[:2]], columns=('video', 'caption')),
            r"2 videos are too few for a share of 0\.1 for test"),
}


@pytest.mark.parametrize('case', REFUSED)
def test_what_is_wrong_is_named(case, run, tmp_path):
    name, content, message = REFUSED[case]
    with pytest.raises(SystemExit, match=f'(?s)^error: .*{message}'):
        run(name, content)
    assert not (tmp_path / 'out').exists()


def test_options_of_a_random_split_are_refused_where_the_file_has_one(run):
    with pytest.raises(SystemExit, match='--val-share, --test-share and --seed are for files that'):
        run('captions.csv', table(','), '--seed', '1')


def test_random_splits_depend_on_the_seed_and_the_names_alone():
    names = [f'{i}.mp4' for i in range(100)]
    chosen = RandomSplit().assign(names)
    assert chosen == RandomSplit().assign(names[::-1])
    assert chosen != RandomSplit(seed=1).assign(names)
    counts = {split: list(chosen.values()).count(split) for split in ('train', 'val', 'test')}
    assert counts == dict(train=80, val=10, test=10)
    assert set(RandomSplit(0, 1).assign(names).values()) == {'test'}
    for shares in ((-.1, .2), (.6, .5), (float('nan'), .1)):
        with pytest.raises(ValueError, match='must be from 0 to 1'):
            RandomSplit(*shares).assign(names)
