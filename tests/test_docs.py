"""The examples of the docs run as they stand."""
import re

import pytest
import torch
from mmaction.structures import ActionDataSample

from mmc2v.registry import MODELS

from .tiny import ROOT, batch


@pytest.fixture(scope='module')
def mixing():
    """Everything that the examples of docs/mixing.md define, run one after the other."""
    blocks = re.findall(r'```python\n(.*?)```', (ROOT / 'docs' / 'mixing.md').read_text(), re.S)
    assert len(blocks) == 5
    names = {}
    try:
        for number, block in enumerate(blocks):
            exec(compile(block, f'docs/mixing.md, example {number + 1}', 'exec'), names)
        yield names
    finally:
        MODELS.module_dict.pop('CLIP2VideoWithClasses', None)


def test_retrieval_model_trains(mixing):
    losses = mixing['retrieval'].train().loss(dict(
        frames=torch.randn(2, 8, 3, 64, 64), tokens=batch(num=2)['tokens']))
    (losses['loss_global'] + losses['loss_aligned']).backward()


def test_recognizer_trains(mixing):
    samples = [ActionDataSample().set_gt_label(i) for i in range(2)]
    losses = mixing['recognizer'].train()(torch.randn(2, 8, 3, 32, 32), samples, mode='loss')
    losses['loss_cls'].backward()


def test_joint_model_trains_both_losses(mixing):
    model, inputs, samples = mixing['both'].train(), batch(num=4), []
    for name in ('cat', 'dog', 'dog', 'cat'):
        samples.append(ActionDataSample())
        samples[-1].set_metainfo(dict(group=name))
    losses = model.loss(inputs, samples)
    sum(value for key, value in losses.items() if 'loss' in key).backward()
    assert not [name for name, value in model.named_parameters() if value.grad is None]


def test_every_link_of_the_pages_leads_somewhere():
    for page in (ROOT / 'README.md', ROOT / 'configs' / 'README.md', *(ROOT / 'docs').glob('*.md')):
        for target in re.findall(r'\]\(([^)#]+)[^)]*\)', page.read_text()):
            assert '://' in target or (page.parent / target).exists(), (page, target)
