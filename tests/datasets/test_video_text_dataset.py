"""Items, errors at load time, undecodable videos, random numbers."""
import json

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from mmc2v.datasets import VideoDecodeError, VideoTextDataset
from mmc2v.datasets.randomness import global_randomness
from mmc2v.registry import DATASETS

from ..tiny import dataset_config, pipeline, random_video, write_dataset


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data')
    write_dataset(folder, num_videos=6)
    return folder


def annotated(folder, tmp_path, content, **kwargs):
    """A data set on the folder's videos with another annotation."""
    path = tmp_path / 'annotation.json'
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return DATASETS.build(dataset_config(folder, ann_file=str(path), **kwargs))


def test_training_has_an_item_a_caption(folder):
    dataset = DATASETS.build(dataset_config(folder))
    annotation = json.loads((folder / 'all.json').read_text())
    pairs = [(dataset.get_data_info(i)['video_id'], *dataset.get_data_info(i)['captions'])
             for i in range(len(dataset))]
    assert pairs == [(name, caption) for name, captions in annotation.items()
                     for caption in captions]
    item = dataset[0]
    assert item['inputs']['frames'].shape == (4, 3, 32, 32)
    assert item['inputs']['tokens'].shape == (1, 32)


def test_evaluation_has_an_item_a_video_and_decodes_it_once(folder, monkeypatch):
    from mmc2v.video import BACKENDS
    opened = []

    class Counting(BACKENDS['pyav']):
        def __init__(self, path, max_filled):
            opened.append(path)
            super().__init__(path, max_filled)
    monkeypatch.setitem(BACKENDS, 'pyav', Counting)
    dataset = DATASETS.build(dataset_config(folder, test_mode=True))
    items = [dataset[i] for i in range(len(dataset))]
    assert len(items) == 6
    assert [len(item['inputs']['tokens']) for item in items] == [
        len(captions) for captions in json.loads((folder / 'all.json').read_text()).values()]
    assert len(opened) == len(set(opened)) == 6


def test_uniform_sample_of_mmaction2_serves(folder):
    for test_mode in (True, False):
        sampling = dict(type='mmaction.UniformSample', clip_len=5, num_clips=1, test_mode=test_mode)
        dataset = DATASETS.build(dataset_config(folder, test_mode=test_mode,
                                                pipeline=pipeline(sampling=sampling)))
        item = dataset[1]
        assert item['inputs']['frames'].shape == (5, 3, 32, 32)
        assert item['inputs']['frame_mask'].all()
        if not test_mode:  # its random choices are the data set's, not the global generator's
            np.random.seed(3)
            state = np.random.get_state()[1].tolist()
            assert torch.equal(item['inputs']['frames'], dataset[1]['inputs']['frames'])
            assert np.random.get_state()[1].tolist() == state


@pytest.mark.parametrize(('content', 'message'), [
    ({}, 'holds no video'),
    ({'0.mp4': []}, "video '0.mp4': there is no caption"),
    ({'0.mp4': 'a string'}, "video '0.mp4': captions must be a list"),
    ({'0.mp4': ['good', '  ']}, "video '0.mp4', caption 1: the caption is empty"),
    ({'0.mp4': ['good'], '1.mp4': [7]}, "video '1.mp4', caption 0: expected a caption, found 7"),
    ('{"0.mp4": ["a"], "1.mp4": ["b"], "0.mp4": ["c"]}', r"the key '0.mp4' appears twice"),
    ('{"0.mp4": ["a"', r'row 1, column 15: not JSON'),
    ('["0.mp4"]', 'expected an object, found a list'),
    ({'0.mp4': ['a'], '../videos/0.mp4': ['b']}, "annotation.json.*'../videos/0.mp4' is outside"),
    ({'0.mp4': ['a'], './0.mp4': ['b']}, "'0.mp4' and './0.mp4' are one video"),
    ({'x' * 5000: ['a']}, 'annotation.json.*of 5000 characters'),
    ('[' * 200000, 'annotation.json.*nested too deeply'),
])
def test_wrong_annotations_are_named_when_loaded(folder, tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        annotated(folder, tmp_path, content)


def test_wrong_encoding_is_named(folder, tmp_path):
    (tmp_path / 'latin.json').write_bytes('{"0.mp4": ["caf\xe9"]}'.encode('latin-1'))
    with pytest.raises(ValueError, match='latin.json.*UTF-8'):
        DATASETS.build(dataset_config(folder, ann_file=str(tmp_path / 'latin.json')))


def test_missing_files_are_counted_and_the_hint_is_given(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match=r'2 of 3 videos.*8.mp4.*get it there'):
        annotated(folder, tmp_path, {'0.mp4': ['a'], '8.mp4': ['b'], '9.mp4': ['c']},
                  missing_hint='get it there')
    with pytest.raises(FileNotFoundError, match=r'nothing.json.*get it there'):
        DATASETS.build(dataset_config(folder, ann_file='nothing.json', missing_hint='get it there'))


def test_names_are_of_the_folder_whatever_their_form(folder, tmp_path):
    with pytest.raises(ValueError, match=r"annotation\.json.*0\.mp4' of a video is absolute"):
        annotated(folder, tmp_path, {str(folder / 'videos' / '0.mp4'): ['a']})
    (tmp_path / 'groups.json').write_text('{"x/../0.mp4": "a", "1.mp4": "b"}')
    (tmp_path / 'exclude.json').write_text('{".//1.mp4": "broken"}')
    dataset = annotated(folder, tmp_path, {'./0.mp4': ['a'], '1.mp4': ['b']},
                        group_file=str(tmp_path / 'groups.json'),
                        exclude_file=str(tmp_path / 'exclude.json'))
    assert [(item['video_id'], item['group']) for item in map(dataset.get_data_info,
                                                              range(len(dataset)))] == [
        ('0.mp4', 'a')]


@pytest.mark.parametrize('report', [
    [], {'splits': [1]}, {'tests': 3}, {'data_set': 'a', 'protocol': 'b', 'splits': []},
    {'data_set': 'a', 'protocol': 'b', 'splits': {'annotation': 7}},
    {'data_set': 'a', 'protocol': 'b', 'splits': {'annotation': {
        'videos': 1, 'listed_videos': '1', 'missing': []}}},
    {'data_set': 'a', 'protocol': 'b', 'splits': {'annotation': {
        'videos': 1, 'listed_videos': 0, 'missing': []}}},
    {'splits': {'annotation': {'videos': 1}}}], ids=str)
def test_a_report_of_something_else_is_passed_over(folder, tmp_path, monkeypatch, report):
    (tmp_path / 'report.json').write_text(json.dumps(report))
    warned = []
    monkeypatch.setattr('mmc2v.datasets.video_text_dataset.print_log',
                        lambda message, **kwargs: warned.append(message))
    dataset = annotated(folder, tmp_path, {'0.mp4': ['a']}, test_mode=True)
    assert 'listed_videos' not in dataset.metainfo
    assert len(warned) == 1
    assert f"'{tmp_path / 'report.json'}'" in warned[0]


def test_group_file_must_name_every_video(folder, tmp_path):
    (tmp_path / 'groups.json').write_text('{"0.mp4": "a"}')
    with pytest.raises(ValueError, match="video '1.mp4' must have a group"):
        annotated(folder, tmp_path, {'0.mp4': ['a'], '1.mp4': ['b']},
                  group_file=str(tmp_path / 'groups.json'))
    dataset = annotated(folder, tmp_path, {'0.mp4': ['a', 'b']},
                        group_file=str(tmp_path / 'groups.json'))
    assert dataset[1]['data_samples'].group == 'a'
    with pytest.raises(ValueError, match="video '1.mp4' must have a kind"):
        annotated(folder, tmp_path, {'0.mp4': ['a'], '1.mp4': ['b']},
                  kind_file=str(tmp_path / 'groups.json'))
    dataset = annotated(folder, tmp_path, {'0.mp4': ['a', 'b']},
                        kind_file=str(tmp_path / 'groups.json'))
    assert dataset[1]['data_samples'].kind == 'a'


@pytest.fixture
def half_bad(tmp_path):
    """Ten videos, of which five cannot be decoded."""
    (tmp_path / 'videos').mkdir()
    for index in range(10):
        path = tmp_path / 'videos' / f'{index}.mp4'
        if index % 2:
            path.write_text('not a video')
        else:
            random_video(path, num_frames=5)
    (tmp_path / 'all.json').write_text(json.dumps({f'{i}.mp4': [f'{i}'] for i in range(10)}))
    return tmp_path


def test_undecodable_video_is_replaced_in_training_and_carried(half_bad):
    dataset = DATASETS.build(dataset_config(half_bad))
    for index in range(10):
        sample = dataset[index]['data_samples']
        assert int(sample.video_id[0]) % 2 == 0
        assert bool(sample.replaces) == bool(index % 2)
        if index % 2:
            path, reason = sample.replaces[0]
            assert path == str(half_bad / 'videos' / f'{index}.mp4')
            assert reason
    again = DATASETS.build(dataset_config(half_bad))
    assert [dataset[i]['data_samples'].video_id for i in range(10)] == [
        again[i]['data_samples'].video_id for i in range(10)]


def test_undecodable_video_raises_in_evaluation(half_bad):
    dataset = DATASETS.build(dataset_config(half_bad, test_mode=True))
    with pytest.raises(VideoDecodeError, match='1.mp4 cannot be decoded'):
        dataset[1]
    loader = DataLoader(dataset, batch_size=2, num_workers=1, collate_fn=list, timeout=120)
    with pytest.raises(VideoDecodeError, match='1.mp4'):
        list(loader)


def test_only_bad_videos_give_up(half_bad):
    (half_bad / 'bad.json').write_text('{"1.mp4": ["x"], "3.mp4": ["y"]}')
    dataset = DATASETS.build(dataset_config(half_bad, ann_file='bad.json', max_refetch=3))
    with pytest.raises(VideoDecodeError, match='1.mp4') as caught:
        dataset[0]
    assert '4 videos in a row' in str(caught.value.__cause__)


def indices_of(dataset, workers, epochs, order=None):
    """frame_inds of all items, epoch after epoch, through a loader with persistent workers."""
    order = list(range(len(dataset))) if order is None else order
    loader = DataLoader(dataset, sampler=order, num_workers=workers, collate_fn=lambda x: x[0],
                        persistent_workers=workers > 0)
    result = []
    for epoch in epochs:
        dataset.set_epoch(epoch, seed=5)
        samples = [item['data_samples'] for item in loader]
        result.append({sample.captions[0]: sample.frame_inds.tolist() for sample in samples})
    return result


def test_jitter_depends_on_seed_epoch_and_index_alone(folder):
    dataset = DATASETS.build(dataset_config(folder))
    plain = indices_of(dataset, 0, [0, 1, 2])
    assert plain[0] != plain[1] != plain[2]  # epochs jitter differently
    assert indices_of(DATASETS.build(dataset_config(folder)), 2, [0, 1, 2]) == plain
    assert indices_of(dataset, 0, [2]) == plain[2:]  # without having seen the epochs before
    reverse = list(range(len(dataset)))[::-1]
    assert indices_of(dataset, 0, [1], reverse)[0] == plain[1]
    dataset.set_epoch(0, seed=6)
    other = {s['data_samples'].captions[0]: s['data_samples'].frame_inds.tolist()
             for s in (dataset[i] for i in range(len(dataset)))}
    assert other != plain[0]


def test_global_generators_are_restored():
    import random
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    expected = random.Random(1).random(), np.random.RandomState(1).rand(), torch.rand(1)
    torch.manual_seed(1)
    drawn = []
    for _ in range(2):
        with global_randomness(np.random.default_rng(0)):
            drawn.append((random.random(), np.random.rand(), torch.rand(1)))
    assert drawn[0] == drawn[1] != expected
    assert (random.random(), np.random.rand(), torch.rand(1)) == expected


def test_dataset_is_found_from_every_scope(folder):
    from mmaction.registry import DATASETS as MMACTION_DATASETS
    from mmengine.registry import DATASETS as MMENGINE_DATASETS
    for registry in (MMACTION_DATASETS, MMENGINE_DATASETS):
        assert isinstance(registry.build(dataset_config(folder)), VideoTextDataset)


def spoil(folder, tmp_path):
    """A copy of two videos with a broken third."""
    (tmp_path / 'videos').mkdir()
    for name in ('0.mp4', '1.mp4'):
        (tmp_path / 'videos' / name).write_bytes((folder / 'videos' / name).read_bytes())
    (tmp_path / 'videos' / 'bad.mp4').write_bytes(b'no video')
    content = {'0.mp4': ['zero'], 'bad.mp4': ['bad', 'worse'], '1.mp4': ['one']}
    (tmp_path / 'test.json').write_text(json.dumps(content))
    return content


def test_undecodable_test_videos_raise_or_count_as_not_found(folder, tmp_path):
    spoil(folder, tmp_path)
    config = dataset_config(tmp_path, test_mode=True, ann_file='test.json')
    with pytest.raises(VideoDecodeError, match=r'bad\.mp4 cannot.*undecodable_as_miss=True'):
        DATASETS.build(config)[1]
    dataset = DATASETS.build(dict(config, undecodable_as_miss=True))
    item = dataset[1]
    sample = item['data_samples']
    assert (sample.video_id, sample.captions) == ('bad.mp4', ['bad', 'worse'])
    assert sample.filename.endswith('bad.mp4')
    assert sample.undecodable
    assert item['inputs']['tokens'].shape[0] == 2
    assert item['inputs']['frames'].shape == dataset[0]['inputs']['frames'].shape
    assert not item['inputs']['frames'].any()
    assert 'undecodable' not in dataset[0]['data_samples']


def test_exclusion_list_is_for_training_alone(folder, tmp_path):
    spoil(folder, tmp_path)
    (tmp_path / 'undecodable.json').write_text(json.dumps({'bad.mp4': 'why', 'other.mp4': 'why'}))
    config = dataset_config(tmp_path, ann_file='test.json', exclude_file='undecodable.json')
    dataset = DATASETS.build(config)
    assert {dataset.get_data_info(i)['video_id'] for i in range(len(dataset))} == {'0.mp4', '1.mp4'}
    with pytest.raises(ValueError, match='is for training'):
        DATASETS.build(dict(config, test_mode=True))
    (tmp_path / 'all_of_it.json').write_text(json.dumps(dict.fromkeys(
        ('0.mp4', '1.mp4', 'bad.mp4'), 'why')))
    with pytest.raises(ValueError, match='excludes every video'):
        DATASETS.build(dict(config, exclude_file='all_of_it.json'))


def test_report_of_a_converter_tells_what_is_missing(folder, tmp_path):
    content = spoil(folder, tmp_path)
    report = dict(data_set='VATEX', protocol='hgr', splits=dict(test=dict(
        videos=3, listed_videos=5, missing=['x', 'y'])))
    (tmp_path / 'report.json').write_text(json.dumps(report))
    config = dataset_config(tmp_path, test_mode=True, ann_file='test.json')
    meta = DATASETS.build(config).metainfo
    assert (meta['protocol'], meta['listed_videos'], meta['missing_videos']) == ('VATEX hgr', 5, 2)
    content.pop('bad.mp4')  # edited since: the report is not about it any more
    (tmp_path / 'test.json').write_text(json.dumps(content))
    assert 'listed_videos' not in DATASETS.build(config).metainfo
