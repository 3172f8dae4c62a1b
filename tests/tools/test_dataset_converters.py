"""Every converter on small files in the official formats, and on malformed ones."""
import collections
import json
import os
import pickle
import shutil
import sys

import pytest
from preparation import Conversion, videos
from preparation.videos import find_videos

from ..models import golden
from ..processes import run_script
from ..tiny import full_disk, random_video

CAPTION = 'a man is playing the "guitar", loudly'


def lines(*rows):
    return '\n'.join(rows) + '\n'


def msrvtt():
    ids = [f'video{i}' for i in range(8)]
    sentences = [dict(video_id=name, caption=f'{name} said in way {way}', sen_id=0)
                 for name in ids for way in range(3)]
    return {'MSRVTT_data.json': json.dumps(dict(videos=[], sentences=sentences)),
            'MSRVTT_train.9k.csv': lines('video_id', *ids[:5]),
            'MSRVTT_train.7k.csv': lines('video_id', *ids[:4]),
            'MSRVTT_JSFUSION_test.csv': lines(
                'key,vid_key,video_id,sentence',
                *(f'ret{i},msr{i},{name},"a man is playing the ""guitar"", loudly"'
                  for i, name in enumerate(ids[5:]))),
            **{f'MSRVTT_{split}.full.csv': lines('video_id', *part) for split, part in (
                ('train', ids[:4]), ('val', ids[4:5]), ('test', ids[5:]))}}


def lists(suffix='', **splits):
    return {f'{split}_list.txt': lines(*(name + suffix for name in ids))
            for split, ids in splits.items()}


SPLITS = dict(train=['a_0.5', 'b', 'c'], val=['d'], test=['e', 'f'])


def msvd():
    words = {name: [['a', 'clip', 'of', name], ['again', name]]
             for ids in SPLITS.values() for name in ids}
    return {'raw-captions.pkl': pickle.dumps(words), **lists(**SPLITS)}


def vatex(official=False):
    names = [name for ids in SPLITS.values() for name in ids]
    files = {**lists(**SPLITS), 'test1k5_sec_list.txt': lines('d', 'f')}
    entries = {name: dict(enCap=[f'{name} {i}' for i in range(10)], chCap=['中文'])
               for name in names}
    if not official:
        return {**files, 'vatex_data.json': json.dumps(entries)}
    as_list = [dict(videoID=name, **entry) for name, entry in entries.items()]
    return {**files, 'vatex_training_v1.0.json': json.dumps(as_list[:3], ensure_ascii=False),
            'vatex_validation_v1.0.json': json.dumps(as_list[3:])}


def didemo():
    return {**lists('.mov', **SPLITS), **{f'{split}_data.json': json.dumps([
        dict(video=f'{name}.mov', description=f'{name} {part}', times=[[0, 1]])
        for part in ('first', 'then') for name in ids]) for split, ids in SPLITS.items()}}


def activitynet():
    def captions(ids):
        return json.dumps({f'v_{name}': dict(duration=9.5, timestamps=[[0, 4], [4, 9]], sentences=[
            f'{name} begins.', f' Then {name} ends. ']) for name in ids})
    return {'train.json': captions(['a', 'b', 'x']), 'val_1.json': captions(['c', 'd']),
            'train_ids.json': json.dumps(['v_b', 'v_a']), 'val_ids.json': json.dumps(['v_c'])}


def lsmdc():
    def rows(*ids):
        return lines(*(f'{name}\t00.01\t00.02\t00.01\t00.02\tSOMEONE "looks, {name}'
                       for name in ids))
    return {'LSMDC16_annos_training.csv': rows('1_A_00.01-00.02', '2_B_00.03-00.04') + lines(
        '1_A_00.01-00.02\t1\t2\t1\t2\tAnd leaves.'),
            'LSMDC16_annos_val.csv': rows('3_C'),
            'LSMDC16_challenge_1000_publictect.csv': rows('4_D', '5_E')}


MAKERS = dict(msrvtt=msrvtt, msvd=msvd, vatex=vatex, didemo=didemo, activitynet=activitynet,
              lsmdc=lsmdc)


def write(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def convert(monkeypatch, capsys, name, folder, out, *args):
    """Run a converter in this process; return its JSON files and what it printed."""
    tool = golden.load_tool(f'dataset_converters/{name}.py')
    monkeypatch.setattr(sys, 'argv', ['x', '--annotations', str(folder), '--out', str(out),
                                      *map(str, args)])
    tool.run(tool.__doc__, 'the set', '.mp4', tool.PROTOCOLS, tool.read)
    return ({path.stem: json.loads(path.read_text()) for path in out.glob('*.json')},
            capsys.readouterr())


@pytest.fixture
def run(monkeypatch, capsys):
    return lambda *args: convert(monkeypatch, capsys, *args)


@pytest.mark.parametrize(('name', 'protocol', 'counts'), [
    ('msrvtt', '1k-A-9k', dict(train=(5, 15), test=(3, 3))),
    ('msrvtt', '1k-a-7K', dict(train=(4, 12), test=(3, 3))),
    ('msrvtt', 'full', dict(train=(4, 12), val=(1, 3), test=(3, 9))),
    ('msvd', 'standard', dict(train=(3, 6), val=(1, 2), test=(2, 4))),
    ('vatex', 'hgr', dict(train=(3, 30), val=(1, 10), test=(2, 20))),
    ('vatex', 'paper', dict(train=(3, 30), test=(2, 20))),
    ('didemo', 'paragraph', dict(train=(3, 3), val=(1, 1), test=(2, 2))),
    ('activitynet', 'paragraph', dict(train=(3, 3), test=(2, 2))),
    ('activitynet', 'paragraph-ids', dict(train=(2, 2), test=(1, 1))),
    ('lsmdc', '1k', dict(train=(2, 3), val=(1, 1), test=(2, 2))),
])
def test_official_formats(name, protocol, counts, run, tmp_path):
    folder = write(tmp_path / 'official', MAKERS[name]())
    files, printed = run(name, folder, tmp_path / 'out', '--protocol', protocol)
    assert set(files) == {*counts, 'report'}
    for split, expected in counts.items():
        assert (len(files[split]), sum(map(len, files[split].values()))) == expected
        reported = files['report']['splits'][split]
        assert (reported['videos'], reported['captions']) == expected
        # eight videos are not the published number, and that is said
        assert reported['differences']
        assert f'WARNING {split}: ' in printed.err
    before = {path.name: path.read_bytes() for path in (tmp_path / 'out').iterdir()}
    run(name, folder, tmp_path / 'out', '--protocol', protocol)
    assert {path.name: path.read_bytes() for path in (tmp_path / 'out').iterdir()} == before


def test_captions_and_names(run, tmp_path):
    def one(name, **files):
        folder = write(tmp_path / name, files or MAKERS[name]())
        return run(name, folder, tmp_path / f'{name}-out')[0]
    assert one('msrvtt')['test'] == {f'video{i}.mp4': [CAPTION] for i in (5, 6, 7)}
    assert one('msvd')['train']['a_0.5.mp4'] == ['a clip of a_0.5', 'again a_0.5']
    assert one('didemo')['test'] == {'e.mov': ['e first e then'], 'f.mov': ['f first f then']}
    assert list(one('activitynet')['train']) == ['v_a.mp4', 'v_b.mp4', 'v_x.mp4']
    assert one('activitynet')['test']['v_c.mp4'] == ['c begins. Then c ends.']
    lsmdc_files = one('lsmdc')
    assert lsmdc_files['train']['1_A_00.01-00.02.mp4'] == [
        'SOMEONE "looks, 1_A_00.01-00.02', 'And leaves.']
    both = [run('vatex', write(tmp_path / f'v{official}', vatex(official)),
                tmp_path / f'out{official}')[0] for official in (False, True)]
    assert both[0]['train'] == both[1]['train']
    assert both[0]['val'] == both[1]['val']


def test_activitynet_is_as_published_or_as_the_lists_say_and_the_report_says_which(run, tmp_path):
    folder = write(tmp_path / 'in', activitynet())
    found, printed = run('activitynet', folder, tmp_path / 'all')
    assert found['report']['notes'] == [
        'videos: all that have captions; train_ids.json and val_ids.json are not read']
    assert found['report']['notes'][0] in printed.out
    found, _ = run('activitynet', folder, tmp_path / 'ids', '--protocol', 'paragraph-ids')
    assert list(found['train']) == ['v_b.mp4', 'v_a.mp4']
    assert found['report']['notes'] == ['videos: those of train_ids.json and val_ids.json']
    (folder / 'val_ids.json').unlink()
    with pytest.raises(SystemExit, match=r"val_ids\.json' does not exist"):
        run('activitynet', folder, tmp_path / 'ids', '--protocol', 'paragraph-ids')


def numbered(*counts):
    """As many ids a split as there are in the files as they are distributed."""
    return {split: [f'{split}{i}' for i in range(count)]
            for split, count in zip(('train', 'val', 'test'), counts)}


def test_didemo_as_distributed_needs_no_word(run, tmp_path):
    splits = numbered(8392, 1065, 1004)
    files = {**lists('.mov', **splits), **{f'{split}_data.json': json.dumps([
        dict(video=f'{name}.mov', description='x') for name in ids])
        for split, ids in splits.items()}}
    found, printed = run('didemo', write(tmp_path / 'in', files), tmp_path / 'out')
    assert printed.err == ''
    assert len(found['train']) == 8392


def test_msvd_as_distributed_needs_no_word(run, tmp_path):
    splits = numbered(1200, 100, 670)
    words = {}
    for ids, total in zip(splits.values(), (48774, 4290, 27763)):
        words.update({name: [['x']] * (total // len(ids)) for name in ids})
        words[ids[0]] = [['x']] * (total // len(ids) + total % len(ids))
    files = {'raw-captions.pkl': pickle.dumps(words), **lists(**splits)}
    found, printed = run('msvd', write(tmp_path / 'in', files), tmp_path / 'out')
    assert printed.err == ''
    assert [counts['captions'] for counts in found['report']['splits'].values()] == [
        48774, 4290, 27763]


@pytest.mark.parametrize('kind', [lambda words: collections.defaultdict(list, words),
                                  collections.OrderedDict])
@pytest.mark.parametrize('protocol', [2, 4])
def test_word_lists_may_be_in_other_dicts(kind, protocol, run, tmp_path):
    plain = pickle.loads(msvd()['raw-captions.pkl'])
    files = {**msvd(), 'raw-captions.pkl': pickle.dumps(kind(plain), protocol)}
    assert run('msvd', write(tmp_path / 'in', files), tmp_path / 'out')[0]['train'][
        'b.mp4'] == ['a clip of b', 'again b']


def test_a_repeated_row_of_lsmdc_is_kept_with_a_warning(run, tmp_path):
    files = lsmdc()
    row = files['LSMDC16_annos_training.csv'].splitlines()[0]
    files['LSMDC16_annos_training.csv'] += row + '\n'
    found, printed = run('lsmdc', write(tmp_path / 'in', files), tmp_path / 'out')
    sentence = 'SOMEONE "looks, 1_A_00.01-00.02'
    assert found['train']['1_A_00.01-00.02.mp4'] == [sentence, 'And leaves.', sentence]
    assert 'WARNING 1 rows repeat a caption of their video and are kept' in printed.err
    assert 'row 4' in found['report']['repeated_captions'][0]


def test_didemos_own_names_are_found_and_decoded(run, tmp_path):
    names = {'train': ['a.null', 'b.mts'], 'val': ['c.'], 'test': ['d.3gpp']}
    files = {**lists(**names), **{f'{split}_data.json': json.dumps([
        dict(video=name, description='x') for name in ids]) for split, ids in names.items()}}
    videos = tmp_path / 'videos'
    videos.mkdir()
    random_video(tmp_path / 'x.mp4', num_frames=5)
    for name in ('a.null', 'b.mp4', 'c.', 'd.3gpp'):
        shutil.copy(tmp_path / 'x.mp4', videos / name)
    found, _ = run('didemo', write(tmp_path / 'in', files), tmp_path / 'out', '--videos', videos,
                   '--check-videos', '--workers', '1')
    assert [list(found[split]) for split in names] == [['a.null', 'b.mp4'], ['c.'], ['d.3gpp']]
    assert found['undecodable'] == {}


def test_a_split_without_any_video_is_refused_and_can_be_left_out(run, tmp_path):
    folder, videos = write(tmp_path / 'in', msvd()), write(tmp_path / 'videos', {'e.mp4': b''})
    with pytest.raises(SystemExit, match=r"train: --videos .* has none of its 3 videos, such as "
                       r"'a_0\.5'; --splits prepares"):
        run('msvd', folder, tmp_path / 'out', '--videos', videos)
    assert not (tmp_path / 'out').exists()
    found, _ = run('msvd', folder, tmp_path / 'out', '--videos', videos, '--splits', 'test')
    assert set(found) == {'test', 'report'}
    assert list(found['test']) == ['e.mp4']
    with pytest.raises(SystemExit, match='--splits val: there are'):
        run('vatex', write(tmp_path / 'vatex', vatex()), tmp_path / 'v', '--protocol', 'paper',
            '--splits', 'val')


def test_files_of_somebody_else_are_not_overwritten(run, tmp_path):
    folder = write(tmp_path / 'in', activitynet())  # whose own file is called train.json
    with pytest.raises(SystemExit, match=r"holds \['train\.json'\], which no converter wrote"):
        run('activitynet', folder, folder)
    assert (folder / 'train.json').read_text() == activitynet()['train.json']


def test_what_fails_while_writing_is_named_and_leaves_nothing_behind(run, tmp_path):
    folder = write(tmp_path / 'in', msvd())
    with full_disk(), pytest.raises(SystemExit, match=r"^error: .*out/report\.json'$"):
        run('msvd', folder, tmp_path / 'out')
    assert list((tmp_path / 'out').iterdir()) == []


def test_published_counts_are_met_without_a_word(run, tmp_path):
    """The full split of MSR-VTT is video0 to video9999 in order, with 20 captions each."""
    sentences = [dict(video_id=f'video{i}', caption=f'{i} {k}') for i in range(10000)
                 for k in range(20)]
    files = {'MSRVTT_data.json': json.dumps(dict(sentences=sentences))}
    for split, ids in (('train', range(6513)), ('val', range(6513, 7010)),
                       ('test', range(7010, 10000))):
        files[f'MSRVTT_{split}.full.csv'] = lines('video_id', *(f'video{i}' for i in ids))
    found, printed = run('msrvtt', write(tmp_path / 'in', files), tmp_path / 'out', '--protocol',
                         'full')
    assert printed.err == ''
    assert [len(found[split]) for split in ('train', 'val', 'test')] == [6513, 497, 2990]
    assert all(not counts['differences'] for counts in found['report']['splits'].values())


def test_videos_are_matched_by_id(run, tmp_path):
    folder = write(tmp_path / 'in', msrvtt())
    videos = tmp_path / 'videos'
    for name in ('video0.webm', 'sub/video1.MKV', 'video2.avi.mp4', 'video5.mp4', 'video6.txt',
                 'other.mp4'):
        write((videos / name).parent, {name.rsplit('/', 1)[-1]: b''})
    found, printed = run('msrvtt', folder, tmp_path / 'out', '--videos', videos)
    assert list(found['train']) == ['video0.webm', 'sub/video1.MKV', 'video2.avi.mp4']
    assert list(found['test']) == ['video5.mp4']
    report = found['report']['splits']['test']
    assert report['missing'] == ['video6', 'video7']
    assert (report['listed_videos'], report['videos']) == (3, 1)
    assert '2 of 3 videos are missing and left out' in printed.err
    assert find_videos(videos, ['v_other']) == {'v_other': 'other.mp4'}  # as ActivityNet's
    (videos / 'video0.mp4').write_bytes(b'')
    with pytest.raises(SystemExit, match=r"2 files of video 'video0'.*video0\.mp4"):
        run('msrvtt', folder, tmp_path / 'out', '--videos', videos)
    with pytest.raises(SystemExit, match='none is one of the 8'):
        run('msrvtt', folder, tmp_path / 'out2', '--videos', folder)


def test_check_videos_lists_the_bad_ones(run, tmp_path):
    folder, videos = write(tmp_path / 'in', msvd()), tmp_path / 'videos'
    videos.mkdir()
    for name in 'bdef':
        random_video(videos / f'{name}.mp4', num_frames=20)
    (videos / 'c.avi').write_bytes(b'no video')
    whole = (videos / 'e.mp4').read_bytes()
    (videos / 'e.mp4').write_bytes(whole[:len(whole) // 2])
    found, printed = run('msvd', folder, tmp_path / 'out', '--videos', videos, '--check-videos',
                         '--workers', '2')
    assert sorted(found['undecodable']) == ['c.avi', 'e.mp4']
    assert all(found['undecodable'].values())
    assert found['report']['undecodable'] == found['undecodable']
    assert 'e.mp4' in found['test']  # a test set is never made smaller by what cannot be decoded
    assert 'checking videos' in printed.err
    assert '2 videos cannot be decoded' in printed.err


def replaced(files, name, old, new):
    content = files[name]
    binary = isinstance(content, bytes)
    content = content if binary else content.encode()
    old, new = (value if isinstance(value, bytes) else value.encode() for value in (old, new))
    assert old in content
    return {**files, name: content.replace(old, new, 1)}


def bomb(path):
    """A pickle that would create a file."""
    class Bomb:
        def __reduce__(self):
            return open, (str(path), 'w')
    return pickle.dumps({'a': [Bomb()]})


MALFORMED = {
    'column': ('msrvtt', 'MSRVTT_train.9k.csv', 'video_id', 'id', r"9k\.csv', row 1.*found"),
    'short row': ('msrvtt', 'MSRVTT_JSFUSION_test.csv', 'ret1,msr1,', 'ret1,', r"csv', row 3.*3: "),
    'no JSON': ('msrvtt', 'MSRVTT_data.json', '"sentences":', 'sentences',
                r"row 1, column 16: not JSON.*near '.*sentences"),
    'empty caption': ('msrvtt', 'MSRVTT_data.json', 'video1 said in way 0', ' ',
                      r"json', sentence 4: the caption is empty; --skip-empty"),
    'number': ('msrvtt', 'MSRVTT_data.json', '"video1 said in way 0"', '7',
               r"sentence 4: expected a caption, found 7"),
    'encoding': ('msrvtt', 'MSRVTT_JSFUSION_test.csv', 'ret1', b'\xff', r"row 3: not UTF-8"),
    'id twice': ('msrvtt', 'MSRVTT_train.9k.csv', 'video3', 'video2', r"row 5: the id 'video2'"),
    'unknown id': ('msrvtt', 'MSRVTT_train.9k.csv', 'video3', 'video99',
                   r"1 of 5 videos of 'MSRVTT_train\.9k\.csv' \(row 5: 'video99'\) have no"),
    'list': ('msvd', 'train_list.txt', 'b', 'b,c', r"row 2: expected one video id"),
    'list twice': ('msvd', 'train_list.txt', 'c\n', 'b\n', r"row 3: the id 'b' appears twice"),
    'pickle': ('msvd', 'raw-captions.pkl', b'\x80', b'no', r"pkl' is not a pickle of word lists"),
    'kind': ('vatex', 'vatex_data.json', '"enCap"', '"encap"', r"expected enCap, found the keys"),
    'key twice': ('vatex', 'vatex_data.json', '"c":', '"b":', r"the key 'b' appears twice"),
    'entry': ('didemo', 'train_data.json', '"description"', '"text"', r"data\.json', entry 1"),
    'sentences': ('activitynet', 'val_1.json', '"c begins."', 'null', r"'v_c', caption 1: exp"),
    'columns': ('lsmdc', 'LSMDC16_annos_val.csv', '00.01\t', '', r"row 1: expected 6 columns"),
    'clip twice': ('lsmdc', 'LSMDC16_challenge_1000_publictect.csv', '5_E\t', '4_D\t',
                   r"row 2: the id '4_D' appears twice"),
}


@pytest.mark.parametrize('case', MALFORMED)
def test_malformed_files_are_named_with_their_row(case, run, tmp_path):
    name, file, old, new, message = MALFORMED[case]
    folder = write(tmp_path / 'in', replaced(MAKERS[name](), file, old, new))
    with pytest.raises(SystemExit, match=f'(?s)^error: .*{message}'):
        run(name, folder, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_a_hostile_pickle_does_nothing(run, tmp_path):
    target = tmp_path / 'executed'
    folder = write(tmp_path / 'in', {**msvd(), 'raw-captions.pkl': bomb(target)})
    with pytest.raises(SystemExit, match=r'refers to .*open.*nothing of it was run'):
        run('msvd', folder, tmp_path / 'out')
    assert not target.exists()
    factory = pickle.dumps(collections.defaultdict(os.getcwd))
    with pytest.raises(SystemExit, match=r'refers to .*nothing of it was run'):
        run('msvd', write(folder, {'raw-captions.pkl': factory}), tmp_path / 'out')
    pickle.loads(bomb(target))
    assert target.exists()  # it would have


def test_absent_file_and_other_content_of_the_folder(run, tmp_path):
    files = msrvtt()
    files.pop('MSRVTT_data.json')
    with pytest.raises(SystemExit, match=r"MSRVTT_data\.json' does not exist; the folder has"):
        run('msrvtt', write(tmp_path / 'in', files), tmp_path / 'out')
    run('msrvtt', write(tmp_path / 'in', msrvtt()), tmp_path / 'out')
    with pytest.raises(SystemExit, match='holds the set 1k-A-9k; give every protocol a folder'):
        run('msrvtt', tmp_path / 'in', tmp_path / 'out', '--protocol', 'full')


def test_empty_captions_can_be_skipped_and_are_counted(run, tmp_path):
    files = replaced(activitynet(), 'train.json', '"b begins."', '" "')
    found, printed = run('activitynet', write(tmp_path / 'in', files), tmp_path / 'out',
                         '--skip-empty-captions')
    assert found['train']['v_b.mp4'] == ['Then b ends.']
    assert len(found['report']['skipped_empty_captions']) == 1
    assert '1 empty captions were left out' in printed.err


def test_shared_ids_are_reported(run, tmp_path):
    files = replaced(msrvtt(), 'MSRVTT_JSFUSION_test.csv', 'video5', 'video0')
    found, printed = run('msrvtt', write(tmp_path / 'in', files), tmp_path / 'out')
    assert found['report']['shared_ids'] == dict(test=['video0'])
    assert "1 videos are in train as well: ['video0']" in printed.err


def test_the_script_itself(tmp_path):
    write(tmp_path / 'in', lsmdc())
    script = 'tools/dataset_converters/lsmdc.py'
    done = run_script(script, '--annotations', tmp_path / 'in', '--out', tmp_path / 'out')
    assert done.returncode == 0
    assert 'LSMDC, protocol 1k' in done.stdout
    failed = run_script(script, '--annotations', tmp_path, '--out', tmp_path / 'out')
    assert failed.returncode == 1
    assert failed.stderr.startswith('error: ')
    assert 'Traceback' not in failed.stderr


def crashing(path):
    if path.endswith('crash'):
        os._exit(1)
    return 'bad' if path.endswith('bad') else None


@pytest.mark.parametrize('position', [0, 5, 19])
def test_a_video_that_crashes_the_decoder_is_listed_and_the_rest_is_checked(
        position, tmp_path, monkeypatch):
    monkeypatch.setattr(videos, 'problem_of', crashing)  # processes are forked
    names = [f'{i}.{"bad" if i % 7 == 3 else "good"}' for i in range(20)]
    names[position] = 'x.crash'
    found = videos.find_undecodable(tmp_path, names, workers=2)
    assert found == {name: 'the decoder crashes on it' if name == 'x.crash' else 'bad'
                     for name in names if not name.endswith('good')}


def test_captions_keep_their_words():
    assert Conversion().caption('x', '  two\n words ') == 'two words'
