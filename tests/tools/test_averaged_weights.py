"""Moving averages of weights (MMEngine's EMAHook): what is evaluated, and by which weights."""
import json
import sys

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from mmc2v.apis import encode_videos, init_model
from mmc2v.evaluation import RetrievalEmbeddings

from ..models.golden import load_tool
from ..test_checkpoint_reading import flip
from ..tiny import run_config, write_dataset


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A folder with a config that averages weights, and its checkpoint after training."""
    folder = tmp_path_factory.mktemp('averaged')
    write_dataset(folder / 'data', num_videos=5)
    config = run_config(folder / 'data', folder / 'work', epochs=2, log_level='WARNING')
    config.custom_hooks.append(dict(type='EMAHook', momentum=0.5))
    config.resume = True  # of which testing takes no notice
    config.dump(folder / 'tiny.py')
    config.experiment_name = 'averaged'
    Runner.from_cfg(config).train()
    return folder


def run_test(folder, checkpoint, name, monkeypatch):
    """Run tools/test.py in this process."""
    monkeypatch.setattr(sys, 'argv', [
        'test.py', str(folder / 'tiny.py'), str(checkpoint), '--work-dir', str(folder / name),
        '--dump', str(folder / f'{name}.npz'), '--out', str(folder / f'{name}.json'),
        '--cfg-options', f'experiment_name=averaged-{name}'])
    load_tool('test.py').main()


def test_the_test_script_evaluates_the_averaged_weights(trained, monkeypatch):
    run_test(trained, trained / 'work' / 'epoch_2.pth', 'test', monkeypatch)
    checkpoint = torch.load(trained / 'work' / 'epoch_2.pth')
    torch.save(dict(state_dict={
        key.removeprefix('module.'): value for key, value in checkpoint['ema_state_dict'].items()
        if key.startswith('module.')}), trained / 'last_step.pth')  # MMEngine swaps the two
    config = Config.fromfile(trained / 'tiny.py')
    paths = [str(trained / 'data' / 'videos' / f'{index}.mp4') for index in range(5)]
    averaged, last = (encode_videos(init_model(config, str(path)), paths) for path in (
        trained / 'work' / 'epoch_2.pth', trained / 'last_step.pth'))
    found = torch.from_numpy(RetrievalEmbeddings.load(trained / 'test.npz').video)
    torch.testing.assert_close(found, averaged, atol=1e-6, rtol=0)
    assert (found - last).abs().max() > 1e-3
    in_training = json.loads((trained / 'work' / 'validations.json').read_text())['2']
    measured = json.loads((trained / 'test.json').read_text())
    assert in_training == {key: measured[key] for key in in_training}


def test_a_damaged_checkpoint_is_refused(trained, monkeypatch):
    path = trained / 'work' / 'damaged.pth'
    path.write_bytes((trained / 'work' / 'epoch_2.pth').read_bytes())
    flip(path)
    with pytest.raises(ValueError, match=r"damaged\.pth' is damaged: the checksum of its part"):
        run_test(trained, path, 'damaged', monkeypatch)
