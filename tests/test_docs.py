"""The examples of the docs run as they stand."""
import importlib
import re
import runpy
import sys

import pytest
import torch
from mmaction.registry import MODELS as MMACTION_MODELS
from mmaction.structures import ActionDataSample
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope

from mmc2v.config_reading import read_config
from mmc2v.registry import MODELS
from mmc2v.video.opening import FORMATS

from .tiny import ROOT, batch

PAGE = ROOT / 'docs' / 'mixing.md'


def blocks():
    """Return the page's examples; those that are files of their own begin with their name."""
    found = re.findall(r'```python\n(.*?)```', PAGE.read_text(), re.S)
    files = {block.split('\n')[0].removeprefix('# '): block for block in found
             if re.match(r'# \w+\.py\n', block)}
    return [block for block in found if block not in files.values()], files


@pytest.fixture(scope='module')
def mixing():
    """Everything that the examples of docs/mixing.md define, run one after the other."""
    examples, _ = blocks()
    assert len(examples) == 6
    names = {}
    try:
        for number, block in enumerate(examples):
            exec(compile(block, f'docs/mixing.md, example {number + 1}', 'exec'), names)
        yield names
    finally:
        MODELS.module_dict.pop('CLIP2VideoWithClasses', None)


@pytest.fixture(params=['mmc2v', 'mmaction'])
def own_neck_config(request, tmp_path, monkeypatch):
    """The page's config with a neck in a file of its own, registered here or in MMAction2."""
    _, files = blocks()
    assert list(files) == ['my_neck.py', 'my_config.py']
    if request.param == 'mmaction':
        files['my_neck.py'] = files['my_neck.py'].replace('mmc2v.registry', 'mmaction.registry')
        files['my_config.py'] = files['my_config.py'].replace('mmc2v.FrameGate', 'FrameGate')
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    (tmp_path / 'configs').symlink_to(ROOT / 'configs')
    monkeypatch.syspath_prepend(str(tmp_path))  # as PYTHONPATH=. does
    yield Config.fromfile(tmp_path / 'my_config.py')
    sys.modules.pop('my_neck')
    for registry in (MODELS, MMACTION_MODELS):
        registry.module_dict.pop('FrameGate', None)


def test_a_neck_in_a_file_of_its_own_trains(own_neck_config):
    with DefaultScope.overwrite_default_scope(own_neck_config.default_scope):
        model = MODELS.build(own_neck_config.model).train()
    assert type(model.neck).__module__ == 'my_neck'
    losses = model.loss(dict(frames=torch.randn(4, 8, 3, 64, 64), tokens=batch()['tokens']))
    (losses['loss_global'] + losses['loss_aligned']).backward()
    assert model.neck.gate.weight.grad.abs().sum() > 0


def test_both_sides_and_recognizers_are_counted(mixing):
    assert mixing['video_flops'] > 1e9  # a ResNet-18 of 8 small frames
    # two layers of width 64 and a projection for 4 tokens, without what attention multiplies
    linear = 2 * 4 * 64 * (2 * (3 * 64 + 64 + 2 * 256) + 64)
    assert linear < mixing['text_flops'] < 1.05 * linear
    # each of 8 frames is cut into 4 patches of 16 x 16 pixels, projected to 64
    assert mixing['recognizer_flops'] > 2 * 8 * 4 * 3 * 16 * 16 * 64


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


def test_the_limits_that_are_named_are_those_of_the_code():
    page = (ROOT / 'docs' / 'security.md').read_text()
    limits = re.findall(r'^\| .+ \| ([\d,]+) \| `([\w.]+)\.(\w+)` \|$', page, re.M)
    assert len(limits) == 4
    for number, module, name in limits:
        assert getattr(importlib.import_module(module), name) == int(number.replace(',', '')), name
    named = re.search(r"by FFmpeg's names: ([\w,\s]+)\.", page)[1]
    assert named.split() == [f'{name},' for name in FORMATS[:-1]] + [FORMATS[-1]]


def test_every_link_of_the_pages_leads_somewhere():
    for page in (ROOT / 'README.md', ROOT / 'configs' / 'README.md', *(ROOT / 'docs').glob('*.md')):
        for target in re.findall(r'\]\(([^)#]+)[^)]*\)', page.read_text()):
            assert '://' in target or (page.parent / target).exists(), (page, target)


REPRODUCE = ROOT / 'docs' / 'reproduce.md'


def protocols(data_set):
    return runpy.run_path(str(ROOT / f'tools/dataset_converters/{data_set}.py'))['PROTOCOLS']


def test_costs_are_the_arithmetic_that_the_page_names():
    """Of the units that it quotes, and of the captions that converters expect."""
    text = REPRODUCE.read_text()
    gflop, of_paragraphs, read, cached = (
        float(number.replace(',', '')) for number in re.search(
            r'measured.*?([\d.]+) GFLOP a sample.*?64 words ([\d.,]+\d),.*?([\d.]+) ms of a core.*?'
            r'([\d.]+) ms from a frame cache', text, re.S).groups())
    performance = (ROOT / 'docs' / 'performance.md').read_text()
    assert f'{gflop} forward and backward a sample' in performance
    assert f'{of_paragraphs:,} forward and backward' in performance
    rows = [row.split(' | ') for row in re.findall(
        r'^\| (\w+ [\w-]+ \| [\d,]+ \| .+) \|$', text, re.M)]
    assert len(rows) == 9
    for name, *cells in rows:
        data_set, protocol = name.split()
        captions = protocols(data_set)[protocol]['train'].captions
        samples = 5 * captions
        unit = of_paragraphs if protocol == 'paragraph' else gflop
        expected = [f'{captions:,}', f'{samples:,}', f'{samples * unit / 1e6:.1f}',
                    f'{samples * unit / 1e6 / 3.6 / 100:.1f}']
        expected += ['not measured'] * 2 if protocol == 'paragraph' else [
            f'{samples * milliseconds / 3.6e6:.1f}' for milliseconds in (read, cached)]
        assert cells == expected, name


def test_every_protocol_and_config_of_the_page_exists_and_none_is_left_out():
    text = REPRODUCE.read_text()
    commands = re.findall(r'dataset_converters/(\w+)\.py .*--protocol (\S+) --out data/(\S+)', text)
    assert {(name, protocol) for name, protocol, _ in commands} == {
        (name, protocol) for name in ('msrvtt', 'msvd', 'vatex', 'didemo', 'activitynet', 'lsmdc')
        for protocol in protocols(name)} - {('activitynet', 'paragraph-ids')}
    assert all(out == f'{name}/{protocol}' for name, protocol, out in commands)
    for path in re.findall(r'(?:tools|configs|tests)/[\w/.-]+\.(?:py|sh)', text):
        assert (ROOT / path).is_file(), path


def test_the_options_that_give_one_difference_alone_are_taken():
    found = re.findall(r'--cfg-options ((?:[\w.]+=[\w.-]+ ?)+)`', REPRODUCE.read_text())
    assert len(found) == 7
    optimizers = []
    for options in found:
        if 'optimizer.eps' in options:  # the row says: with BertAdam
            options += ' optim_wrapper.optimizer.type=mmc2v.BertAdam'
        config = read_config(ROOT / 'configs' / 'clip2video_msrvtt.py', options.split())
        with torch.device('meta'):
            model = MODELS.build(config.model)
        optimizers.append(build_optim_wrapper(model, config.optim_wrapper).optimizer)
    kinds = [type(optimizer).__name__ for optimizer in optimizers]
    assert sorted(kinds) == ['AdamW'] * 5 + ['BertAdam'] * 2
    assert {optimizer.defaults['eps'] for optimizer in optimizers} == {1e-6, 4e-6}


def test_the_pages_config_trains_by_clip4clips_recipe(tmp_path):
    block, = re.findall(r'```python\n(.*?)```', REPRODUCE.read_text(), re.S)
    (tmp_path / 'mine.py').write_text(block)
    (tmp_path / '_base_').symlink_to(ROOT / 'configs' / '_base_')
    mine = Config.fromfile(tmp_path / 'mine.py')
    listed = Config.fromfile(ROOT / 'configs' / 'clip2video_msrvtt_clip4clip.py')
    for key in ('model', 'optim_wrapper', 'param_scheduler', 'train_cfg'):
        assert mine[key] == listed[key]
    assert mine.train_dataloader.dataset.ann_file == 'standard/train.json'
