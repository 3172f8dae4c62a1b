"""Configs and --cfg-options: what is wrong is named, and what is right goes through."""
import pytest

from mmc2v.config_reading import parse_options, read_config, require_number
from mmc2v.registered_types import accepted_arguments, did_you_mean, find_type

from .tiny import ROOT

MSRVTT = ROOT / 'configs' / 'clip2video_msrvtt.py'
RECOGNITION = ROOT / 'configs' / 'recognition' / 'clip-tiny_tdb_moving-shapes.py'


@pytest.mark.parametrize(('option', 'problem'), [
    ('modle.x=1', r"modle\.x: the config knows no 'modle'; did you mean 'model'\?"),
    ('nothing_of_the_kind=1', r"the config knows no 'nothing_of_the_kind'$"),
    ('model.nekc.num_layers=1', r"'model' \(CLIP2Video\) knows no 'nekc'; did you mean 'neck'"),
    ('model.neck.num_layer=1', r"\(TemporalDifferenceBlock\) knows .* mean 'num_layers'"),
    ('train_cfg.chunk_size=16', r"'train_cfg' \(EpochBasedTrainLoop\) knows no 'chunk_size'"),
    ('train_dataloader.batchsize=1', r"'train_dataloader' knows no .* mean 'batch_size'"),
    ('train_dataloader.dataset.annfile=a', r"\(VideoTextDataset\) .* mean 'ann_file'"),
    ('train_dataloader.dataset.data_prefix.vidoe=a', "did you mean 'video'"),
    ('randomness.sed=1', "'randomness' knows no 'sed'; did you mean 'seed'"),
    ('custom_hooks.3.alow=[]', r"'custom_hooks\.3' \(SplitOverlapHook\) .* mean 'allow'"),
    ('custom_hooks.9.allow=[]', "'custom_hooks' is a list of 6, .* has no '9'"),
    ('load_from.x=1', "'load_from' is None in the config and has no 'x'"),
    ('foo', "takes key=value, got 'foo'"),
    ('model..x=1', 'takes key=value'),
    ('=1', 'takes key=value'),
    ('x=[1', r'Imbalanced brackets exist in \[1|knows no'),
    ('train_cfg.dynamic_intervals=[(1,2]', 'Imbalanced brackets'),
])
def test_options_that_nothing_reads_are_refused_with_the_nearest(option, problem):
    with pytest.raises(ValueError, match=problem):
        read_config(MSRVTT, [option])


def test_options_that_the_docs_use_and_some_that_configs_lack_are_taken():
    config = read_config(MSRVTT, [
        'train_cfg.type=mmc2v.GradientCacheTrainLoop', 'train_cfg.chunk_size=16',
        'train_dataloader.batch_size=128', 'train_dataloader.dataset.ann_file=train_9k.json',
        'train_dataloader.dataset.exclude_file=undecodable.json',
        'train_dataloader.dataset.data_prefix.video=cache', 'train_dataloader.pin_memory=True',
        'test_dataloader.dataset.undecodable_as_miss=True', 'model.pretrained=None',
        'load_from=msrvtt9k.pth', 'model.backbone.grad_checkpointing=True',
        'model.text_backbone.freeze_layer_num=6', 'compile=True',
        'custom_hooks.3.allow=[test.json]', 'optim_wrapper.accumulative_counts=2',
        'optim_wrapper.paramwise_cfg.lr_mult.neck=3',
        'default_hooks.visualization.type=VisualizationHook', 'randomness.deterministic=True',
        'find_unused_parameters=True', 'model_wrapper_cfg.static_graph=True',
        'param_scheduler.0.warmup=9', 'disabled_hooks=[mmc2v.LoaderShareHook]',
        'default_hooks.checkpoint.rescale_schedule=True', 'visualizer.save_dir=shown'])
    assert config.train_cfg.chunk_size == 16
    assert config.model.pretrained is None
    assert config.custom_hooks[3].allow == ['test.json']
    assert config.model_wrapper_cfg == dict(static_graph=True)
    assert config.filename == str(MSRVTT)
    config = read_config(RECOGNITION, ['model.cls_head.topk=[1,2]',
                                       'train_dataloader.dataset.multi_class=True'])
    assert config.model.cls_head.topk == [1, 2]
    with pytest.raises(ValueError, match=r"\(TSNHead\) knows no 'topkk'; did you mean 'topk'"):
        read_config(RECOGNITION, ['model.cls_head.topkk=1'])


def test_values_are_mmengines_and_the_last_counts():
    assert parse_options(['a.b=1', 'c=[x,(1,2.5)]', 'd=None', 'e=a=b', 'a.b=True']) == {
        'a.b': True, 'c': ['x', (1, 2.5)], 'd': None, 'e': 'a=b'}
    assert parse_options([]) == {}


@pytest.mark.parametrize(('name', 'content', 'problem'), [
    ('empty.py', '', 'has no model, no train_cfg; give a whole config'),
    ('cut.py', 'a = 1\nmodel = dict(\n', r"cut\.py' cannot be read: SyntaxError: .* line 2"),
    ('name.py', 'a = 1\nmodel = foo\n', r"NameError: name 'foo' is not defined \(line 2\)"),
    ('base.py', "_base_ = 'gone.py'\n", r'FileNotFoundError: .*gone\.py'),
    ('imports.py', "custom_imports = dict(imports=['gone'], allow_failed_imports=False)",
     'ImportError: Failed to import gone$'),
    ('config.txt', 'a', "config.txt' cannot be read: OSError"),
])
def test_configs_that_cannot_be_read_are_named(name, content, problem, tmp_path):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=problem):
        read_config(tmp_path / name, needs=['model', 'train_cfg'])
    with pytest.raises(FileNotFoundError, match="the config '/gone.py' is not a file"):
        read_config('/gone.py')


def test_arguments_are_those_of_base_classes_where_they_are_passed_on():
    assert 'serialize_data' in accepted_arguments(find_type('mmc2v.VideoTextDataset')).names
    assert not accepted_arguments(find_type('mmc2v.VideoTextDataset')).is_open
    assert 'T_max' in accepted_arguments(find_type('CosineAnnealingLR')).names
    assert accepted_arguments(lambda a, **kwargs: a) == ({'a'}, True)
    assert find_type('Nope') is None
    assert find_type(dict) is dict
    assert did_you_mean('zzz', ['model']) == ''


@pytest.mark.parametrize('value', [0, -1, 'a', None, True, 1.5])
def test_impossible_numbers_are_refused(value):
    with pytest.raises(ValueError, match=r'train_cfg\.max_epochs must be a whole number from 1'):
        require_number('train_cfg', dict(max_epochs=value), 'max_epochs', 1)
    require_number('train_cfg', {}, 'max_epochs', 1)
