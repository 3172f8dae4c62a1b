"""Conventions and post-processing against naive versions; the dump; the table."""
import io
import json
import pickle
import runpy
import sys
import zipfile

import numpy as np
import pytest

from mmc2v.evaluation import RetrievalEmbeddings, format_table, retrieval_metrics

from ..tiny import ROOT, full_disk
from .test_ranks import naive


def embeddings(seed=0, num_videos=17, dim=24, **kwargs):
    """Unit vectors with one to four captions a video, a pair of equal captions among them."""
    rng = np.random.default_rng(seed)

    def unit(values):
        return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)
    counts = rng.integers(1, 5, num_videos)
    counts[[0, -1]] = 1
    owner = np.repeat(np.arange(num_videos), counts)
    video = unit(rng.normal(size=(num_videos, dim)) + 0.8)
    text = unit(video[owner] + 0.25 * rng.normal(size=(len(owner), dim)))
    text[-1] = text[0]
    return RetrievalEmbeddings(**{**dict(
        video=video, video_ids=np.array([f'v{i}.mp4' for i in range(num_videos)]),
        undecodable=np.zeros(num_videos, dtype=bool), text=text,
        captions=np.array([f'caption {i}' for i in range(len(owner))]), owner=owner,
        query_bank=unit(video[rng.integers(6, size=60)] + 0.3 * rng.normal(
            size=(60, dim))), logit_scale=50.0), **kwargs})


def softmax(values, axis):
    shares = np.exp(values - values.max(axis=axis, keepdims=True))
    return shares / shares.sum(axis=axis, keepdims=True)


@pytest.mark.parametrize('seed', range(4))
def test_post_processing_is_the_definition(seed):
    e = embeddings(seed)
    metrics = retrieval_metrics(e, all_captions=True, dual_softmax=True, query_bank=True)
    scores = e.text.astype(np.float64) @ e.video.astype(np.float64).T
    own = np.arange(len(e.video))
    over_captions, over_videos = (scores * softmax(50 * scores, axis) for axis in (0, 1))
    bank = e.query_bank.astype(np.float64) @ e.video.astype(np.float64).T
    hubs = set(bank.argmax(axis=1))
    normalised = np.stack([
        np.exp(20 * row) / np.exp(20 * bank).sum(axis=0) if row.argmax() in hubs else row
        for row in scores])
    assert 0 < sum(row.argmax() in hubs for row in scores) < len(scores)
    expected = {'t2v': naive(scores, e.owner, own)[0], 'v2t': naive(scores, e.owner, own)[1],
                'v2t_all_captions': naive(scores, e.owner, own)[2],
                't2v_dsl': naive(over_captions, e.owner, own)[0],
                'v2t_dsl': naive(over_videos, e.owner, own)[1],
                't2v_qbnorm': naive(normalised, e.owner, own)[0]}
    for name, ranks in expected.items():
        assert metrics[f'{name}/MnR'] == pytest.approx(ranks.mean()), name
        assert metrics[f'{name}/R1'] == pytest.approx(100 * (ranks == 1).mean()), name
    assert len({round(float(ranks.mean()), 9) for ranks in expected.values()}) > 3


def test_nothing_but_the_published_protocol_by_default():
    names = {key.split('/')[0] for key in retrieval_metrics(embeddings()) if '/' in key}
    assert names <= {'t2v', 'v2t', 'v2t_ties_won', 't2v_ties_won'}


def test_dual_softmax_of_a_cold_model_does_not_underflow_into_ties():
    metrics = retrieval_metrics(embeddings(logit_scale=100.0), dual_softmax=True)
    assert metrics['v2t_dsl/tied'] == metrics['v2t/tied']
    assert metrics['t2v_dsl/tied'] == 0


def test_undecodable_videos_lower_the_figures_and_are_counted():
    full, hidden = embeddings(), np.zeros(17, dtype=bool)
    hidden[4] = True
    video = full.video.copy()
    video[4] = 0
    broken = embeddings(video=video, undecodable=hidden)
    before, after = (retrieval_metrics(e, dual_softmax=True, all_captions=True)
                     for e in (full, broken))
    assert after['undecodable'] == 1
    for name in ('t2v', 'v2t', 't2v_dsl', 'v2t_dsl', 'v2t_all_captions'):
        assert after[f'{name}/MnR'] > before[f'{name}/MnR']
        assert np.isfinite(after[f'{name}/MnR'])
    assert '1 undecodable (5.9%), counted as not found' in format_table(after)


def test_without_any_decodable_video_every_rank_is_the_last():
    e = embeddings(video=np.zeros((17, 24), np.float32), undecodable=np.ones(17, dtype=bool))
    metrics = retrieval_metrics(e, all_captions=True, dual_softmax=True, query_bank=True)
    for name in ('t2v', 'v2t', 't2v_dsl', 'v2t_dsl', 't2v_qbnorm'):
        assert (metrics[f'{name}/R10'], metrics[f'{name}/MnR']) == (0, 17)
    assert metrics['v2t_all_captions/MnR'] == len(e.text)


def test_dump_is_plain_arrays_and_gives_the_same_figures(tmp_path):
    options = dict(all_captions=True, dual_softmax=True, query_bank=True)
    original = embeddings(info=dict(ann_file='test.json', listed_videos=20, missing_videos=3))
    original.save(tmp_path / 'new' / 'dump.npz')
    loaded = RetrievalEmbeddings.load(tmp_path / 'new' / 'dump.npz')
    assert retrieval_metrics(loaded, **options) == retrieval_metrics(original, **options)
    with np.load(tmp_path / 'new' / 'dump.npz', allow_pickle=False) as file:
        np.testing.assert_allclose(np.linalg.norm(file['text'], axis=1), 1, atol=1e-5)
        assert json.loads(str(file['info']))['format'] == 1
        assert 'group' not in file.files
    assert [path.name for path in (tmp_path / 'new').iterdir()] == ['dump.npz']


def test_what_is_no_dump_is_refused(tmp_path):
    (tmp_path / 'a.npz').write_bytes(pickle.dumps({'a': 1}))
    np.savez(tmp_path / 'b.npz', video=np.ones(2))
    np.savez(tmp_path / 'c.npz', video=np.array([print], dtype=object))
    for name in 'abc':
        with pytest.raises(ValueError, match=f'{name}.npz.*is not a dump of embeddings'):
            RetrievalEmbeddings.load(tmp_path / f'{name}.npz')
    with pytest.raises(FileNotFoundError, match='--dump'):
        RetrievalEmbeddings.load(tmp_path / 'absent.npz')


@pytest.mark.parametrize(('changes', 'message'), [
    (dict(video=np.zeros((17, 25), np.float32)), r"'text' has the shape \(\d+, 24\)"),
    (dict(video=np.zeros(17, np.float32)), r"'video' is float32 of shape \(17,\)"),
    (dict(text=None), "no array 'text'"), (dict(video=np.zeros((17, 24), int)), "'video' is int64"),
    (dict(video_ids=np.array(['a'] * 16)), r"'video_ids' has the shape \(16,\)"),
    (dict(video_ids=np.arange(17)), "'video_ids' is int64"),
    (dict(video=np.zeros((17, 0), np.float32)), r"'video' has the shape \(17, 0\)"),
    (dict(owner=np.zeros(0, int)), "'owner' has the shape"),
    (dict(owner=np.full(len(embeddings().owner), 17)), "'owner' must"),
    (dict(query_bank=np.ones((3, 9), np.float32)), "'query_bank' has the shape"),
    (dict(logit_scale=np.float64('nan')), "'logit_scale' is nan"),
    (dict(extra=np.ones(3)), 'extra.*expected one each of'),
    (dict(captions=np.array([{}], dtype=object)), 'allow_pickle'),
    (dict(info=np.array('[]')), "'info' is not that of version 1"),
    (dict(info=np.array('[' * 200000)), 'nested too deeply'),
    (dict(info=np.array('{"format": 2}')), "'info' is not that of version 1"),
    (dict(info=np.array('{"format": 1, "listed_videos": "9"}')), 'listed and missing'),
    (dict(info=np.array('{"format": 1, "listed_videos": 3, "missing_videos": 3}')), 'and missing'),
    (dict(info=np.array(f'{{"format": 1, "listed_videos": {10 ** 400}, "missing_videos": 1}}')),
     'and missing'),
    (dict(info=np.array('{"format": 1, "by_kind": true}')), "needs the array 'kind'"),
], ids=str)
def test_arrays_that_do_not_fit_are_named(changes, message, tmp_path):
    path = tmp_path / 'dump.npz'
    embeddings().save(path)
    with np.load(path) as file:
        arrays = {**file, **changes}
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})
    with pytest.raises(ValueError, match=rf"dump\.npz' is not a dump of embeddings.*{message}"):
        RetrievalEmbeddings.load(path)


@pytest.mark.filterwarnings('ignore:Duplicate name')
@pytest.mark.parametrize(('damage', 'message'), [
    ('cut off', 'BadZipFile'), ('compressed', 'it is compressed'), ('huge', 'no array|allocate'),
    ('twice', 'expected one each')])
def test_damaged_archives_are_named(damage, message, tmp_path):
    path = tmp_path / 'dump.npz'
    embeddings().save(path)
    if damage == 'cut off':
        path.write_bytes(path.read_bytes()[:-500])
    elif damage == 'compressed':  # a few bytes could become any number of them
        with np.load(path) as file:
            np.savez_compressed(path, **{name: file[name] for name in file.files})
    else:
        part = io.BytesIO()
        np.lib.format.write_array_header_1_0(part, dict(
            descr='<f4', fortran_order=False, shape=(10 ** 12, 100)))
        with zipfile.ZipFile(path, 'w' if damage == 'huge' else 'a') as archive:
            archive.writestr('video.npy', part.getvalue())
    with pytest.raises(ValueError, match=rf"dump\.npz' is not a dump of.*({message})") as error:
        RetrievalEmbeddings.load(path)
    assert '\n' not in str(error.value)


def test_a_dump_that_would_be_ranked_for_days_is_refused(tmp_path, monkeypatch):
    path = tmp_path / 'dump.npz'
    embeddings().save(path)
    monkeypatch.setattr('mmc2v.evaluation.embeddings.MAX_SCORES', 17 * len(embeddings().owner) - 1)
    with pytest.raises(ValueError, match=r'17 videos and \d+ captions have more than .* scores'):
        RetrievalEmbeddings.load(path)


def test_a_full_disk_leaves_the_old_dump_and_nothing_else(tmp_path):
    path = tmp_path / 'dump.npz'
    embeddings(0).save(path)
    with full_disk(), pytest.raises(OSError, match=r'dump\.npz'):
        embeddings(1).save(path)
    assert [item.name for item in tmp_path.iterdir()] == ['dump.npz']
    assert np.array_equal(RetrievalEmbeddings.load(path).video, embeddings(0).video)


def test_the_tool_names_the_dump_of_what_cannot_be_measured(tmp_path, monkeypatch):
    tool = runpy.run_path(str(ROOT / 'tools' / 'analysis_tools' / 'evaluate_dump.py'))
    video = embeddings().video.copy()
    video[3] = np.nan
    embeddings(video=video).save(tmp_path / 'nan.npz')
    embeddings().save(tmp_path / 'good.npz')
    embeddings(dim=9, num_videos=8).save(tmp_path / 'other.npz')
    bank = embeddings().query_bank.copy()
    bank[0] = np.inf
    embeddings(query_bank=bank).save(tmp_path / 'bank.npz')
    for arguments, message in (
            (['nan.npz'], r"^error: '.*nan\.npz': .*first is video v3\.mp4"),
            (['bank.npz', '--query-bank'], r"^error: '.*bank\.npz': .*1 query bank captions"),
            (['good.npz', '--query-bank', 'other.npz'],
             r"^error: '.*good\.npz' with .*other\.npz': the query bank is 9 wide")):
        monkeypatch.setattr(sys, 'argv', ['evaluate_dump.py', *(
            str(tmp_path / name) if name.endswith('npz') else name for name in arguments)])
        with pytest.raises(SystemExit, match=message):
            tool['run'](tool['main'])


def test_another_split_of_the_same_embeddings():
    e = embeddings()
    split = {f'other/folder/v{i}.avi': [e.captions[np.flatnonzero(e.owner == i)[0]]]
             for i in (12, 3, 8)}
    part = e.select({**split, 'v99.mp4': ['not embedded']})
    assert part.video_ids.tolist() == ['v3.mp4', 'v8.mp4', 'v12.mp4']
    scores = part.text @ part.video.T
    metrics = retrieval_metrics(part)
    assert metrics['t2v/MnR'] == naive(scores, part.owner, np.arange(3))[0].mean()
    assert (metrics['captions'], metrics['listed_videos'], metrics['missing']) == (3, 4, 1)
    with pytest.raises(ValueError, match=r"1 of those have none.*'v5\.mp4'"):
        e.select({'v5.mp4': ['a caption that was not embedded'], **split})
    with pytest.raises(ValueError, match='0 of 1 videos'):
        e.select({'x.mp4': ['a']})


def test_a_split_is_told_by_folder_where_numbers_repeat():
    e = embeddings(video_ids=np.array([f'{"ab"[i % 2]}/{i // 2}.mp4' for i in range(17)]))
    annotation = {f'b/{i}.mp4': e.captions[e.owner == 2 * i + 1].tolist() for i in range(3)}
    assert e.select(annotation).video_ids.tolist() == ['b/0.mp4', 'b/1.mp4', 'b/2.mp4']


def test_missing_bank_is_an_error():
    with pytest.raises(ValueError, match='--query-bank'):
        retrieval_metrics(embeddings(query_bank=None), query_bank=True)


def test_figures_stand_under_their_titles():
    metrics = {'t2v/R1': 12.5, 't2v/direction_pair_R1': 50.0, 't2v/size_R1': 25.0}
    title, row = format_table(metrics).splitlines()
    assert title.split('  ')[-2:] == ['direction_pair R@1', 'size R@1']
    for name, value in (('R@1', '12.5'), ('direction_pair R@1', '50.0'), ('size R@1', '25.0')):
        assert title.index(name) + len(name) == row.index(value) + len(value)


def test_table_names_every_ranking_and_what_it_is_of():
    e = embeddings(info=dict(listed_videos=20, missing_videos=3))
    lines = format_table(retrieval_metrics(
        e, all_captions=True, dual_softmax=True, query_bank=True)).splitlines()
    rows = {line[:40].split('  ')[0].strip(): line.split() for line in lines[1:-1]}
    assert {'T2V', 'V2T', 'V2T ties won', 'V2T among all captions', 'T2V with dual softmax',
            'V2T with dual softmax', 'T2V with QB-Norm'} <= set(rows)
    assert lines[0].endswith('tied queries')
    assert rows['V2T'][-1] == '2'
    assert lines[-1] == (f'17 videos, {len(e.text)} captions; 3 of the 20 videos that the '
                         'protocol lists are missing (15.0%); 0 undecodable (0.0%)')
