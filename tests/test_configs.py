"""Every config builds: model, data sets, evaluator, optimizer."""
import json

import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.optim import build_optim_wrapper

from mmc2v.datasets.moving_shapes import MovingShapes, write_moving_shapes
from mmc2v.registry import DATASETS, METRICS, MODELS

from .tiny import ROOT, random_video

CONFIGS = sorted((ROOT / 'configs').glob('*.py'))


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Small data of each kind, under the names that the configs read."""
    root = tmp_path_factory.mktemp('data')
    write_moving_shapes(root / 'moving_shapes', MovingShapes(num_train=4, num_test_pairs=2))
    videos = root / 'msrvtt' / 'videos'
    videos.mkdir(parents=True)
    random_video(videos / 'video0.mp4')
    for name in ('train_9k', 'test_JSFUSION'):
        (root / 'msrvtt' / f'{name}.json').write_text(json.dumps({'video0.mp4': ['a caption']}))
    return root


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_config_builds(path, data):
    config = Config.fromfile(path)
    assert config.custom_imports == dict(imports=['mmc2v'], allow_failed_imports=False)
    with torch.device('meta'):
        model = MODELS.build(config.model)
    assert build_optim_wrapper(model, config.optim_wrapper)
    for kind in ('train', 'val', 'test'):
        loader = config[f'{kind}_dataloader']
        folder = data / loader.dataset.data_root.removeprefix('data/')
        dataset = DATASETS.build(dict(loader.dataset, data_root=str(folder)))
        assert dataset.test_mode == (kind != 'train')
        frames = dataset[0]['inputs']['frames']
        assert frames.shape[-2:] == model.backbone.image_size
        if hasattr(model.neck, 'max_frames'):
            assert len(frames) <= model.neck.max_frames
        assert dataset[0]['inputs']['tokens'].shape[1] <= model.text_backbone.context_length
        jitters = [step.get('jitter', False) for step in loader.dataset.pipeline]
        assert kind == 'train' or not any(jitters)
    for kind in ('val', 'test'):
        assert Evaluator([METRICS.build(config[f'{kind}_evaluator'])])
    assert config.default_hooks.checkpoint.save_best == 't2v/R1'
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
    for name, hint in (('clip2video_msrvtt', 'prepare_msrvtt.sh'),
                       ('clip2video_moving_shapes', 'make_moving_shapes.py')):
        config = Config.fromfile(ROOT / 'configs' / f'{name}.py')
        with pytest.raises(FileNotFoundError, match=rf'(?s)data/m.*does not exist.*{hint}'):
            DATASETS.build(config.train_dataloader.dataset)
