"""What is trained on is not evaluated."""
import json
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch.utils.data import DataLoader

from mmc2v.datasets import VideoTextDataset
from mmc2v.engine.hooks.split_overlap import SplitOverlapHook, annotation_files
from mmc2v.registry import DATASETS

from ...tiny import dataset_config, run_config, write_dataset


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data')
    annotation = write_dataset(folder)
    names = list(annotation)
    for file, part in (('train.json', names[:6]), ('val.json', names[6:]),
                       ('test.json', names[5:])):
        (folder / file).write_text(json.dumps({name: annotation[name] for name in part}))
    return folder


def config_of(data, work_dir, val='val.json', test='val.json', **kwargs):
    config = run_config(data, work_dir, **kwargs)
    config.train_dataloader.dataset.ann_file = 'train.json'
    config.val_dataloader.dataset.ann_file = val
    config.test_dataloader.dataset.ann_file = test
    return config


@pytest.mark.parametrize(('val', 'test', 'kind'), [
    ('test.json', 'val.json', 'val'), ('val.json', 'test.json', 'test')])
def test_shared_videos_are_refused_unless_allowed_by_name(val, test, kind, data, tmp_path):
    config = config_of(data, tmp_path, val, test, epochs=1, experiment_name=f'overlap-{kind}')
    with pytest.raises(ValueError, match=rf"(?s)1 of the 4 videos.*test\.json' \({kind}\).*'5'.*"
                       r"allow=\['test\.json'\]"):
        Runner.from_cfg(config).train()
    overlap = next(hook for hook in config.custom_hooks if 'SplitOverlap' in hook.type)
    overlap.allow = ['test.json']
    config.experiment_name = f'allowed-{kind}'
    Runner.from_cfg(config).train()


def test_videos_of_different_folders_may_have_one_number(tmp_path):
    files = {'train.json': ['cats/1.mp4', 'cats/2.mp4'], 'val.json': ['dogs/1.mp4', 'dogs/2.mp4'],
             'test.json': ['cats/2.avi'], 'flat.json': ['1.mp4']}
    for file, names in files.items():
        (tmp_path / file).write_text(json.dumps({name: ['x'] for name in names}))
    loaders = {file: dict(dataset=dict(type='mmc2v.VideoTextDataset', data_root=str(tmp_path),
                                       ann_file=file)) for file in files}
    for file, shared in (('val.json', None), ('test.json', '2'), ('flat.json', '1')):
        runner = SimpleNamespace(_train_loop=EpochBasedTrainLoop.__new__(EpochBasedTrainLoop),
                                 train_dataloader=loaders['train.json'],
                                 cfg=dict(val_dataloader=loaders[file]))
        refusal = pytest.raises(ValueError, match=rf"1 of the .*well: \['{shared}'\]") \
            if shared else nullcontext()
        with refusal:
            SplitOverlapHook().before_run(runner)


def test_annotations_are_found_in_wrapped_data_sets(data):
    config = dataset_config(data, ann_file='train.json')
    wrapped = dict(type='ConcatDataset', datasets=[config, dict(
        type='RepeatDataset', times=2, dataset=dict(config, ann_file='val.json'))])
    expected = [str(data / 'train.json'), str(data / 'val.json')]
    assert list(annotation_files(dict(dataset=wrapped))) == expected
    assert list(annotation_files(DataLoader(DATASETS.build(wrapped)))) == expected
    assert list(annotation_files(None)) == []
    loader = dict(dataset=wrapped, batch_size=1, num_batch_per_epoch=2,
                  sampler=dict(type='DefaultSampler', shuffle=True))
    assert list(annotation_files(Runner.build_dataloader(loader))) == expected


def test_data_sets_are_recognised_by_their_class(data):
    """The names of FeatureTextDataset and of a user's own data set say nothing."""
    class Mine(VideoTextDataset):
        pass
    settings = dataset_config(data, ann_file='train.json')
    for kind in (Mine, 'mmc2v.FeatureTextDataset', 'mmaction.VideoTextDataset',
                 'VideoTextDataset'):
        assert list(annotation_files(dict(settings, type=kind))) == [str(data / 'train.json')]
    settings.pop('type')
    assert list(annotation_files(DataLoader(Mine(**settings)))) == [str(data / 'train.json')]
    assert list(annotation_files(dict(settings, type='mmaction.VideoDataset'))) == []
