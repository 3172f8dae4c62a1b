"""A checkpoint in the authors' format at its real size: converted, trained from, evaluated."""
import json
import re

import pytest
import torch
from mmengine.config import Config

from mmc2v.apis import encode_texts, init_model
from mmc2v.evaluation import RetrievalEmbeddings
from mmc2v.registry import MODELS

from ..models import golden
from ..processes import run_script
from ..tiny import ROOT, random_video

CONFIG = ROOT / 'configs' / 'clip2video_msrvtt.py'


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Random ViT-B/32 weights under the authors' names, CLIP's matrices in half precision."""
    folder = tmp_path_factory.mktemp('authors')
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(CONFIG).model)
    state = {golden.converter.authors_key(name): value.half() if name.startswith((
        'backbone.', 'text_backbone.')) and value.ndim > 1 else value
        for name, value in model.state_dict().items()}
    assert len(state) > 350
    torch.save(state, folder / 'pytorch_model.bin.2')
    (folder / 'videos').mkdir()
    for split, indices in (('train', (0, 1)), ('test', (2, 3, 4))):
        for index in indices:
            random_video(folder / 'videos' / f'{index}.mp4', num_frames=30, size=(64, 96),
                         seed=index)
        (folder / f'{split}.json').write_text(json.dumps(
            {f'{index}.mp4': [f'video number {index}'] for index in indices}))
    return folder


def run(folder, *args):
    data = [f'{kind}_dataloader.{key}' for kind in ('train', 'val', 'test') for key in (
        f'dataset.data_root={folder}', f'dataset.ann_file={"train" if kind == "train" else "test"}'
        '.json', 'dataset.pipeline.1.num_frames=3', 'batch_size=2', 'num_workers=0',
        'persistent_workers=False')]
    done = run_script(*args, '--cfg-options', 'model.pretrained=None', *data)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout + done.stderr


def test_conversion_evaluation_and_training(folder):
    ours = folder / 'msrvtt9k.pth'
    golden.converter.main([str(folder / 'pytorch_model.bin.2'), str(ours), '--config',
                           str(CONFIG)])
    (folder / 'pytorch_model.bin.2').unlink()  # 380 MB
    run(folder, 'tools/test.py', CONFIG, ours, '--work-dir', folder / 'test', '--dump',
        folder / 'dump.npz', '--out', folder / 'metrics.json')
    config = Config.fromfile(CONFIG)
    model = init_model(config, str(ours))
    dump = RetrievalEmbeddings.load(folder / 'dump.npz')
    assert dump.text.shape == (3, 1024)
    torch.testing.assert_close(encode_texts(model, dump.captions.tolist()),
                               torch.from_numpy(dump.text), atol=1e-5, rtol=0)
    del model
    # a step at learning rate 0 leaves what was loaded, so validation measures the checkpoint
    log = run_training(folder, ours)
    assert re.search(r'Load checkpoint from .*msrvtt9k\.pth', log)
    assert 'size mismatch' not in log
    assert 'missing keys' not in log
    report = json.loads((folder / 'train' / 'best_and_last.json').read_text())
    assert report['last']['metrics'] == json.loads((folder / 'from_config.json').read_text())
    assert report['last']['metrics'] == json.loads((folder / 'metrics.json').read_text())


def run_training(folder, checkpoint):
    """Train from load_from, then test by the same config."""
    small = folder / 'small.py'
    config = Config.fromfile(CONFIG)
    config.param_scheduler = []
    config.merge_from_dict({
        'optim_wrapper.optimizer.lr': 0.0,
        'load_from': str(checkpoint), 'train_cfg.max_epochs': 1,
        'default_hooks.checkpoint': dict(type='CheckpointHook', interval=-1, save_last=False,
                                              save_best=None)})
    config.dump(small)
    log = run(folder, 'tools/train.py', small, '--work-dir', folder / 'train')
    run(folder, 'tools/test.py', small, '--work-dir', folder / 'test', '--out',
        folder / 'from_config.json')
    return log
