"""Every config builds: model, data sets, evaluator, optimizer."""
import importlib.util
import json
import runpy
import sys

import mmaction
import numpy as np
import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.optim import build_optim_wrapper

from mmc2v.evaluation import find_published
from mmc2v.models.clip.architecture import clip_preprocessing
from mmc2v.registry import DATASETS, METRICS, MODELS, TRANSFORMS
from mmc2v.synthetic.moving_events import MovingEvents, MovingShapes
from mmc2v.synthetic.writing import write_dataset

from .tiny import ROOT, random_video

CONFIGS = sorted((ROOT / 'configs').glob('*.py'))
# configs of other folders run elsewhere in the tests, on data of their own
EVENTS = sorted((ROOT / 'configs' / 'ablation').glob('*.py'))
ANNOTATIONS = {'msrvtt': ['1k-A-9k', '1k-A-7k', 'full'], 'msvd': ['standard'],
               'vatex': ['hgr', 'paper'], 'didemo': ['paragraph'], 'lsmdc': ['1k'],
               'activitynet': ['paragraph', 'paragraph-ids'], 'custom': ['']}


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Small data of each kind, under the names that the configs read."""
    root = tmp_path_factory.mktemp('data')
    write_dataset(root / 'moving_shapes', MovingShapes(num_train=4, num_test_pairs=2))
    write_dataset(root / 'moving_events', MovingEvents(num_train=2, num_test_pairs=1))
    features = root / 'moving_shapes' / 'features'
    for path in (root / 'moving_shapes').glob('t*/*.mp4'):
        features.mkdir(exist_ok=True)
        np.save(features / f'{path.stem}.npy', np.zeros((8, 96), np.float32))
    for name, protocols in ANNOTATIONS.items():
        videos = root / name / 'videos'
        videos.mkdir(parents=True)
        random_video(videos / 'video0.mp4')
        (root / name / 'features').mkdir()
        np.save(root / name / 'features' / 'video0.npy', np.zeros((20, 512), np.float32))
        for protocol in protocols:
            (root / name / protocol).mkdir(exist_ok=True)
            for split in ('train', 'val', 'test'):
                (root / name / protocol / f'{split}.json').write_text(
                    json.dumps({'video0.mp4': ['a caption']}))
    return root


def of_pipeline(pipeline, key):
    """Return a setting of the one transform that has it."""
    value, = [step[key] for step in pipeline if key in step]
    return value


def build_model(config):
    # UniFormerV2 computes its rates of stochastic depth in tensors, which meta has no values for
    is_uniformer = 'UniFormerV2' in str(config.model.backbone)
    with torch.device('cpu' if is_uniformer else 'meta'):
        return MODELS.build(config.model)


def without_transformers(config):
    """Where the tokenizer is one of transformers: say so, then take CLIP's for the rest."""
    step, = [step for step in config.train_dataloader.dataset.pipeline if 'Tokenize' in step.type]
    if step.get('arch') != 'ViT-B-16-SigLIP2':
        return
    if importlib.util.find_spec('transformers') is None:
        with pytest.raises(ImportError, match=r"pip install 'mmc2v\[transformers\]'"):
            TRANSFORMS.build(step)
    for kind in ('train', 'val', 'test'):
        for step in config[f'{kind}_dataloader'].dataset.pipeline:
            if 'Tokenize' in step.type:
                step.arch = None


@pytest.mark.parametrize('path', [*CONFIGS, *EVENTS], ids=lambda path: path.stem)
def test_config_builds(path, data):
    config = Config.fromfile(path)
    assert config.custom_imports == dict(imports=['mmc2v'], allow_failed_imports=False)
    without_transformers(config)
    model = build_model(config)
    assert build_optim_wrapper(model, config.optim_wrapper)
    for kind in ('train', 'val', 'test'):
        loader = config[f'{kind}_dataloader']
        folder = data / loader.dataset.data_root.removeprefix('data/')
        dataset = DATASETS.build(dict(loader.dataset, data_root=str(folder)))
        assert dataset.test_mode == (kind != 'train')
        frames = dataset[0]['inputs']['frames']
        if hasattr(model.backbone, 'image_size'):
            assert frames.shape[-2:] == model.backbone.image_size
        if hasattr(model.backbone, 'in_channels') and frames.ndim == 2:
            assert frames.shape[1] == model.backbone.in_channels
        if getattr(model.backbone, 'num_frames', None):
            assert len(frames) == model.backbone.num_frames
            assert dataset[0]['inputs']['frame_mask'].all()  # they cannot leave padding out
        if hasattr(model.neck, 'position_embedding'):
            assert len(frames) <= model.neck.position_embedding.num_embeddings
        assert dataset[0]['inputs']['tokens'].shape[1] <= model.text_backbone.context_length
        jitters = [step.get('jitter', False) for step in loader.dataset.pipeline]
        assert kind == 'train' or not any(jitters)
    for kind in ('val', 'test'):
        assert Evaluator([METRICS.build(config[f'{kind}_evaluator'])])
    assert config.default_hooks.checkpoint.save_best == ('t2v/R1' if path in CONFIGS else None)
    assert config.auto_scale_lr.base_batch_size


def test_main_config_is_the_paper():
    config = Config.fromfile(ROOT / 'configs' / 'clip2video_msrvtt.py')
    with torch.device('meta'):
        model = MODELS.build(config.model)
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    assert shapes['backbone.visual.conv1.weight'] == (768, 3, 32, 32)
    assert shapes['head.alignment.weight_center'] == (5, 512)
    assert shapes['neck.position_embedding.weight'] == (77, 512)
    assert 'neck.transformer.resblocks.3.ln_1.weight' in shapes
    assert 'neck.transformer.resblocks.4.ln_1.weight' not in shapes
    assert model.head.weights == [0.5, 0.5]
    sampling = config.train_dataloader.dataset.pipeline[1]
    assert (sampling.num_frames, sampling.divisor, sampling.jitter) == (12, 2, True)
    assert config.train_dataloader.batch_size * 8 == config.auto_scale_lr.base_batch_size == 128
    assert config.train_cfg.max_epochs == 5


@pytest.mark.parametrize('arch', ['ViT-B-16-quickgelu', 'ViT-L-14-quickgelu'])
def test_other_architectures_are_config_values(arch):
    config = Config.fromfile(ROOT / 'configs' / 'clip2video_msrvtt.py')
    width = 768 if 'L-14' in arch else 512
    config.merge_from_dict({
        'model.backbone.arch': arch, 'model.text_backbone.arch': arch,
        'model.neck.embed_dim': width, 'model.head.embed_dim': width,
        'model.neck.num_layers': 2, 'model.head.alignment.num_centers': 7,
        'model.head.global_weight': 0.3})
    with torch.device('meta'):
        model = MODELS.build(config.model)
    assert model.backbone.embed_dim == width
    assert len(model.neck.transformer.resblocks) == 2
    assert model.head.alignment.weight_center.shape == (7, width)


def test_absent_data_say_what_is_missing_and_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, hint in (('clip2video_msrvtt', 'msrvtt.py --annotations'),
                       ('clip2video_lsmdc', 'lsmdc.py --annotations'),
                       ('clip2video_custom', 'custom.py --captions'),
                       ('clip2video_moving_shapes', 'make_moving_shapes.py')):
        config = Config.fromfile(ROOT / 'configs' / f'{name}.py')
        with pytest.raises(FileNotFoundError, match=rf'(?s)data/.*does not exist.*{hint}'):
            DATASETS.build(config.train_dataloader.dataset)


def test_hints_are_the_commands_that_make_those_files():
    for path in CONFIGS:
        loader = Config.fromfile(path).train_dataloader.dataset
        folder = loader.data_root.removeprefix('data/')
        if folder == 'moving_shapes':
            continue
        if folder == 'custom':
            assert 'custom.py --captions' in loader.missing_hint
            continue
        assert loader.ann_file.split('/')[0] in ANNOTATIONS[folder]
        tool = runpy.run_path(str(ROOT / f'tools/dataset_converters/{folder}.py'))
        assert list(tool['PROTOCOLS']) == ANNOTATIONS[folder]
        assert f'{folder}.py --annotations' in loader.missing_hint


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_mmactions_print_config_prints_it(path, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['print_config.py', str(path)])
    runpy.run_path(f'{mmaction.__path__[0]}/.mim/tools/analysis_tools/print_config.py',
                   run_name='__main__')
    printed = capsys.readouterr().out
    assert "type='mmc2v.VideoTextDataset'" in printed or "type='mmc2v.FeatureText" in printed


def test_paragraphs_have_64_frames_and_words():
    for name in ('didemo', 'activitynet'):
        config = Config.fromfile(ROOT / f'configs/clip2video_{name}.py')
        for kind in ('train', 'test'):
            pipeline = config[f'{kind}_dataloader'].dataset.pipeline
            assert (pipeline[1].num_frames, pipeline[4].max_words) == (64, 64)


def test_variants_of_the_main_config():
    def build(name):
        with torch.device('meta'):
            return MODELS.build(Config.fromfile(ROOT / f'configs/{name}.py').model)
    assert build('clip2video_vatex').head.alignment.weight_center.shape == (7, 512)
    assert build('clip2video_msrvtt_vit-b16').backbone.visual.conv1.kernel_size == (16, 16)
    large = build('clip2video_msrvtt_vit-l14')
    assert (large.backbone.embed_dim, large.head.alignment.weight_center.shape[1]) == (768, 768)
    assert build('meanpool_msrvtt').head.alignment is None
    transformer = build('temporal_transformer_msrvtt')
    assert len(transformer.neck.transformer.resblocks) == 4
    assert transformer.head.alignment is None


def test_model_index_and_table_say_what_the_configs_say():
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    content = yaml.safe_load((ROOT / index['Import'][0]).read_text())
    models = {model['Name']: model for model in content['Models']}
    collections = {collection['Name'] for collection in content['Collections']}
    table = (ROOT / 'configs' / 'README.md').read_text().splitlines()
    assert set(models) == {path.stem for path in CONFIGS}
    for path in CONFIGS:
        config, model = Config.fromfile(path), models[path.stem]
        pipeline = config.train_dataloader.dataset.pipeline
        frames, words = (of_pipeline(pipeline, key) for key in ('num_frames', 'max_words'))
        alignment = config.model.head.get('alignment')
        centers = alignment.num_centers if alignment else '-'
        batch = config.auto_scale_lr.base_batch_size
        meta = model['Metadata']
        assert ROOT / model['Config'] == path
        assert model['In Collection'] in collections
        assert (meta['Frames'], meta['Words'], meta['Total Batch Size'], meta['Batch Size'],
                meta['Epochs'], meta.get('Centers', '-')) == (
            frames, words, batch, config.train_dataloader.batch_size, config.train_cfg.max_epochs,
            centers)
        row, = [line.split(' | ') for line in table if line.startswith(f'| [{path.stem}]')]
        assert [cell.strip() for cell in row[3:7]] == [str(v) for v in (frames, words, centers,
                                                                       batch)]


def test_published_figures_are_those_of_the_table_and_of_the_converters_protocols():
    rows = (ROOT / 'configs' / 'README.md').read_text().splitlines()
    found, keys = {}, ('R1', 'R5', 'R10', 'MdR', 'MnR')
    for path in CONFIGS:
        config = Config.fromfile(path)
        published = find_published(config)
        row, = [row.split('|')[8:10] for row in rows if row.startswith(f'| [{path.stem}]')]
        if published is None:
            assert not ''.join(row).strip()
            continue
        assert published.changed == ()
        assert published.model == ', '.join([
            'CLIP2Video', 'ViT-B/32', f'K = {config.model.head.alignment.num_centers}'])
        for direction, cell in zip(('t2v', 'v2t'), row):
            assert [float(value) for value in cell.split('/')] == [
                published.figures[f'{direction}/{key}'] for key in keys]
        data_set, protocol = published.protocol.split(' ')
        folder = config.test_dataloader.dataset.data_root.removeprefix('data/')
        assert config.test_dataloader.dataset.ann_file == f'{protocol}/test.json'
        tool = runpy.run_path(str(ROOT / f'tools/dataset_converters/{folder}.py'))
        assert tool['PROTOCOLS'][protocol]['test'] == (published.videos, published.captions)
        found[path.stem] = data_set
    assert found == dict(
        clip2video_msrvtt='MSR-VTT', clip2video_msrvtt_clip4clip='MSR-VTT',
        clip2video_msrvtt_full='MSR-VTT', clip2video_msvd='MSVD', clip2video_vatex='VATEX',
        clip2video_vatex_paper='VATEX')


def layer_rates(name):
    """Return the learning rate of every parameter of a config's model."""
    config = Config.fromfile(ROOT / f'configs/{name}.py')
    model = build_model(config)
    groups = build_optim_wrapper(model, config.optim_wrapper).optimizer.param_groups
    rates = {id(parameter): group['lr'] for group in groups for parameter in group['params']}
    return {name: rates[id(parameter)] for name, parameter in model.named_parameters()}


@pytest.mark.parametrize(('name', 'layers'), [
    ('clip2video_uniformerv2_msrvtt', [
        'conv1.', *(f'transformer.resblocks.{i}.' for i in range(12)), 'transformer.dec.0.']),
    ('clip2video_tsm_msrvtt', ['conv1.', *(f'layer{i}.' for i in range(1, 5))])])
def test_lower_layers_train_slower(name, layers):
    rates = layer_rates(name)
    found = []
    for layer in layers:
        own = {rate for key, rate in rates.items() if key.startswith(f'backbone.backbone.{layer}')}
        assert len(own) == 1, (layer, own)
        found.append(own.pop())
    assert found == sorted(found)
    assert found[0] < found[-1] < rates['backbone.projection.weight'] == 1e-4
    assert rates['text_backbone.token_embedding.weight'] == pytest.approx(1e-6)


def test_zero_shot_needs_no_training():
    """Every parameter comes with PE-Core's weights."""
    model = build_model(Config.fromfile(ROOT / 'configs/zeroshot_msrvtt.py'))
    towers = sum(1 for part in (model.backbone, model.text_backbone) for _ in part.parameters())
    assert towers + 1 == sum(1 for _ in model.parameters())  # and logit_scale


@pytest.mark.parametrize(('name', 'tag'), [('clip2video_pe-core-b16_msrvtt', 'meta'),
                                           ('clip2video_siglip2-b16_msrvtt', 'webli'),
                                           ('zeroshot_msrvtt', 'meta')])
def test_images_are_prepared_as_the_weights_want(name, tag):
    config = Config.fromfile(ROOT / f'configs/{name}.py')
    wanted = clip_preprocessing(config.model.backbone.arch, tag)
    assert config.model.pretrained == tag
    assert list(config.model.data_preprocessor.mean) == [255 * value for value in wanted.mean]
    assert list(config.model.data_preprocessor.std) == [255 * value for value in wanted.std]
    for kind in ('train', 'test'):
        step, = [step for step in config[f'{kind}_dataloader'].dataset.pipeline
                 if 'ResizeCenterCrop' in step.type]
        assert (step.size, step.get('interpolation', 'bicubic'), step.keep_ratio) == (
            wanted.size, wanted.interpolation, wanted.resize_mode == 'shortest')
