"""What is trained on is not evaluated; the best and the last validation are both reported."""
import json
import shutil
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch.utils.data import DataLoader

from mmc2v.datasets import VideoTextDataset
from mmc2v.engine import BestAndLastHook
from mmc2v.engine.split_overlap import SplitOverlapHook, annotation_files
from mmc2v.registry import DATASETS

from ..tiny import dataset_config, run_config, write_dataset


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


def test_best_and_last_are_reported_also_after_resuming(data, tmp_path, monkeypatch):
    from mmc2v.evaluation import RetrievalMetric
    figures = iter([30.0, 50.0, 40.0])
    compute = RetrievalMetric.compute_metrics
    monkeypatch.setattr(RetrievalMetric, 'compute_metrics', lambda self, results: {
        **compute(self, results), 't2v/R1': next(figures)})
    for epochs, resume in ((2, False), (3, True)):
        config = config_of(data, tmp_path, epochs=epochs, resume=resume,
                           experiment_name=f'best-{epochs}')
        Runner.from_cfg(config).train()
    report = json.loads((tmp_path / 'best_and_last.json').read_text())
    assert (report['best']['step'], report['last']['step']) == (2, 3)
    assert [report[which]['metrics']['t2v/R1'] for which in ('best', 'last')] == [50.0, 40.0]
    assert (report['annotation'], report['unit']) == ('val.json', 'epoch')
    log = max(tmp_path.glob('*/*.log')).read_text()
    assert '3 validations on val.json; chosen by t2v/R1 on this very set' in log
    assert 'best epoch: 2' in log
    assert 'last epoch: 3' in log
    shutil.rmtree(tmp_path)


@pytest.mark.parametrize('content', ['', '{"1": ', '[]', '{"one": {}}', '{"1": 2}'])
def test_figures_that_cannot_be_read_are_named_and_do_not_end_a_resumed_run(content, tmp_path):
    (tmp_path / 'validations.json').write_text(content)
    warnings = []
    runner = SimpleNamespace(
        work_dir=str(tmp_path), iter=4, epoch=2, train_loop=object.__new__(EpochBasedTrainLoop),
        logger=SimpleNamespace(warning=warnings.append))
    hook = BestAndLastHook()
    hook.before_train(runner)
    assert "validations.json' cannot be read" in warnings[0]
    assert 'up to epoch 2 are missing' in warnings[0]
    hook.after_val_epoch(runner, {'t2v/R1': 50.0})
    assert json.loads((tmp_path / 'validations.json').read_text()) == {'2': {'t2v/R1': 50.0}}


def test_figures_are_brought_to_the_disk(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr('os.fsync', synced.append)
    runner = SimpleNamespace(work_dir=str(tmp_path), iter=0, epoch=1,
                             train_loop=object.__new__(EpochBasedTrainLoop))
    hook = BestAndLastHook()
    hook.before_train(runner)
    hook.after_val_epoch(runner, {'t2v/R1': 50.0})
    assert len(synced) == 2  # the file and its folder
