"""Action recognition by MMAction2's own tools: train, resume, test, and features for retrieval."""
import json
import shutil
import subprocess
import sys
from pathlib import Path

import mmaction
import numpy as np
import pytest
import torch
from mmengine import load

from mmc2v.synthetic.moving_events import MovingShapes
from mmc2v.synthetic.writing import write_dataset

from ..processes import run_script
from ..tiny import ROOT

THEIR_TOOLS = Path(mmaction.__path__[0]) / '.mim' / 'tools'
CONFIG = ROOT / 'configs' / 'recognition' / 'clip-tiny_tdb_moving-shapes.py'


def run(script, *args, cwd):
    result = run_script(script, *args, cwd=cwd)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return result.stdout + result.stderr


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A project with the config, small data, and a run of two epochs."""
    path = tmp_path_factory.mktemp('recognition')
    shutil.copytree(ROOT / 'configs', path / 'configs')
    write_dataset(path / 'data' / 'moving_shapes', MovingShapes(num_train=16, num_test_pairs=4))
    # by a new Python, in which the config alone imports mmc2v
    subprocess.run([sys.executable, THEIR_TOOLS / 'train.py', CONFIG.relative_to(ROOT),
                    '--work-dir', 'run', '--cfg-options', *options(2)], cwd=path, check=True)
    return path


def options(epochs):
    loaders = [f'{name}_dataloader.{key}' for name in ('train', 'val', 'test')
               for key in ('num_workers=0', 'persistent_workers=False', 'batch_size=8')]
    return [*loaders, f'train_cfg.max_epochs={epochs}', 'train_cfg.val_interval=1']


def scalars(folder):
    files = sorted(folder.glob('*/vis_data/scalars.json'))
    return [json.loads(line) for path in files for line in path.read_text().splitlines()]


def test_their_train_script_trains_validates_and_saves(folder):
    found = scalars(folder / 'run')
    assert all(np.isfinite(line['loss_cls']) for line in found if 'loss_cls' in line)
    assert [line['step'] for line in found if 'acc/top1' in line][:2] == [1, 2]
    state = torch.load(folder / 'run' / 'epoch_2.pth', weights_only=True)['state_dict']
    assert 'neck.neck.difference_encoder.norm.weight' in state
    assert list((folder / 'run').glob('best_acc_top1_epoch_*.pth'))


def test_their_train_script_resumes(folder):
    output = run(THEIR_TOOLS / 'train.py', CONFIG.relative_to(ROOT), '--work-dir', 'run',
                 '--resume', '--cfg-options', *options(3), cwd=folder)
    assert 'resumed epoch: 2' in output
    assert (folder / 'run' / 'epoch_3.pth').is_file()


def test_their_test_script_gives_the_figure_of_validation(folder):
    run(THEIR_TOOLS / 'test.py', CONFIG.relative_to(ROOT), 'run/epoch_2.pth', '--work-dir', 'test',
        '--cfg-options', *options(2), cwd=folder)
    wanted = [line['acc/top1'] for line in scalars(folder / 'run')
              if 'acc/top1' in line and line['step'] == 2]
    found = json.loads(next((folder / 'test').glob('*/*.json')).read_text())
    assert [found['acc/top1']] == pytest.approx(wanted)


def test_our_scripts_run_a_recognizer_too(folder):
    """Whose config sets no seed, and has no retrieval figures to lay out."""
    run(ROOT / 'tools' / 'train.py', CONFIG.relative_to(ROOT), '--work-dir', 'ours',
        '--cfg-options', *options(1), cwd=folder)
    output = run(ROOT / 'tools' / 'test.py', CONFIG.relative_to(ROOT), 'ours/epoch_1.pth',
                 '--work-dir', 'ours/test', '--out', 'ours/figures.json', '--cfg-options',
                 *options(1), cwd=folder)
    assert 0 <= json.loads((folder / 'ours' / 'figures.json').read_text())['acc/top1'] <= 1
    assert 'R@1' not in output


def test_their_confusion_matrix_and_published_checkpoint(folder):
    """By our runner of their tools: the one needs what their wheel lacks, the other reads a log."""
    tool = ROOT / 'tools' / 'mmaction_tool.py'
    run(tool, 'analysis_tools/confusion_matrix.py', CONFIG.relative_to(ROOT), 'run/epoch_2.pth',
        '--out', 'matrix.pkl', '--cfg-options', *options(2), cwd=folder)
    matrix = load(folder / 'matrix.pkl')
    assert (matrix.shape, int(matrix.sum())) == ((4, 4), 8)
    run(tool, 'deployment/publish_model.py', 'run/epoch_2.pth', 'small.pth', cwd=folder)
    published = torch.load(next(folder.glob('small_*.pth')), weights_only=True)
    assert 'optimizer' not in published
    whole = torch.load(folder / 'run' / 'epoch_2.pth', weights_only=True)['state_dict']
    assert set(whole) - set(published['state_dict']) <= {'data_preprocessor.mean',
                                                         'data_preprocessor.std'}


def test_their_feature_extraction_becomes_features_of_ours(folder):
    """A stock recognizer's features, one row a frame, as arrays of numbers."""
    text = CONFIG.read_text()
    stock = folder / 'configs' / 'recognition' / 'stock.py'
    stock.write_text(text + '''
model = dict(
    _delete_=True, type='Recognizer2D', backbone=dict(type='ResNet', depth=18),
    cls_head=dict(type='TSNHead', num_classes=4, in_channels=512),
    data_preprocessor=dict(type='ActionDataPreprocessor', mean=[123.0] * 3, std=[58.0] * 3,
                           format_shape='NCHW'))
''')
    from mmengine.config import Config
    from mmengine.registry import init_default_scope

    from mmc2v.registry import MODELS
    config = Config.fromfile(stock)
    init_default_scope('mmaction')
    torch.save(dict(state_dict=MODELS.build(config.model).state_dict()), folder / 'stock.pth')
    run(THEIR_TOOLS / 'misc' / 'clip_feature_extraction.py', stock, 'stock.pth', 'features',
        '--video-list', 'data/moving_shapes/test.txt', '--video-root', 'data/moving_shapes/test',
        '--temporal-type', 'keep', '--cfg-options', *options(1), cwd=folder)
    output = run(ROOT / 'tools' / 'dataset_converters' / 'mmaction_features.py', 'features',
                 '--out', 'arrays', '--layout', 'TC', cwd=folder)
    assert '8 of 8 converted' in output
    features = np.load(folder / 'arrays' / 'test00000.npy')
    assert features.shape == (8, 512)
    twin = np.load(folder / 'arrays' / 'test00001.npy')
    np.testing.assert_allclose(features, twin[::-1], rtol=1e-3, atol=1e-5)
