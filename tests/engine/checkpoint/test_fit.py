"""A checkpoint of another model is named as such before training."""
import os

import pytest
import torch
from mmengine.runner import Runner
from torch import nn

from mmc2v.engine.checkpoint.fit import refuse_unfitting

from ...tiny import run_config, write_dataset


def test_what_differs_is_named(tmp_path):
    path = str(tmp_path / 'epoch_1.pth')
    state = nn.Linear(3, 4).state_dict()
    torch.save(dict(state_dict={f'module.{name}': value for name, value in state.items()}), path)
    refuse_unfitting(path, nn.Linear(3, 4), is_exact=True)
    refuse_unfitting(str(tmp_path / 'none.pth'), nn.Linear(3, 4), is_exact=True)
    wider, without = nn.Linear(5, 4), nn.Linear(3, 4, bias=False)
    for model, difference in (
            (wider, r'1 of another shape: weight is \(4, 3\) instead of \(4, 5\)\. '),
            (without, r'1 too many: bias\. ')):
        with pytest.raises(ValueError, match='cannot resume from .*' + difference):
            refuse_unfitting(path, model, is_exact=True)
        refuse_unfitting(path, model, is_exact=False)
    both = nn.Linear(3, 4)
    both.extra = nn.Linear(1, 1)
    with pytest.raises(ValueError, match=r'2 missing: extra\.weight, extra\.bias\. '):
        refuse_unfitting(path, both, is_exact=True)


@pytest.mark.parametrize('resume', [False, True])
def test_a_file_in_which_nothing_fits_is_an_error_before_training(resume, tmp_path):
    write_dataset(tmp_path / 'data', num_videos=5)
    torch.save(dict(state_dict={'visual.proj': torch.zeros(2)}, meta={}, message_hub={},
                    optimizer={}), tmp_path / 'other.pth')
    config = run_config(tmp_path / 'data', tmp_path / 'work', epochs=1, log_level='WARNING',
                        resume=resume, load_from=str(tmp_path / 'other.pth'),
                        experiment_name=os.urandom(4).hex())
    with pytest.raises(ValueError, match=r"nothing of '.*other\.pth' fits CLIP2Video: it has "
                       r"\['visual\.proj'\], wanted are"):
        Runner.from_cfg(config).train()
