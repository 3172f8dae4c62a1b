"""Parts that return what they must not are named, with what to return instead."""
import pytest
import torch
from mmaction.structures import ActionDataSample
from mmengine.registry import DefaultScope
from torch import nn

from mmc2v.models import CLIP2Video
from mmc2v.registry import MODELS
from mmc2v.structures import TextTokens, VideoTokens

from ..tiny import ARCH, batch, build_model, model_config


class Returns(nn.Module):
    """A part that returns what a function makes of its inputs."""

    local_branch = None

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


def model_with(alignment=False, **parts):
    """The tiny model without a neck of ours, with some of its parts replaced."""
    return CLIP2Video(**{key: value for key, value in {
        **model_config('mean', alignment), **parts}.items() if key != 'type'})


NECKS = {
    'a tensor': (lambda x, m: x, r'returned \(4, 5, 64\) float32'),
    'a bare tuple': (lambda x, m: (x, m, x, m), r'returned tuple\(\(4, 5, 64\) float32, \(4, 5\)'),
    'a mean': (lambda x, m: VideoTokens(x.mean(1), m, x, m), r'VideoTokens\(\(4, 64\) float32'),
    'a float mask': (lambda x, m: VideoTokens(x, m.float(), x, m), r'\(4, 5\) float32, \(4, 5, 64'),
    'a longer mask': (lambda x, m: VideoTokens(x, m, x[:, ::2], m), r'\(4, 3, 64\) float32'),
    'no local tokens': (lambda x, m: VideoTokens(x, m, None, None), 'NoneType, NoneType'),
    'a narrow part': (lambda x, m: VideoTokens(x, m, x[..., :8], m), r'\(4, 5, 8\)'),
    'fewer videos': (lambda x, m: VideoTokens(x[:1], m[:1], x[:1], m[:1]), 'for 4 videos'),
}


@pytest.mark.parametrize('name', NECKS)
def test_a_neck_that_returns_something_else_is_named(name):
    function, returned = NECKS[name]
    model = model_with(neck=Returns(function))
    with pytest.raises(ValueError, match=r'the neck Returns must return .*VideoTokens\(frames, '
                       rf'frame_mask, local, local_mask\).*{returned}.*VideoTokens\(mixed, mask'):
        model(batch(), mode='loss')


def test_a_recognizers_neck_is_named_too():
    with DefaultScope.overwrite_default_scope('mmaction'):
        model = MODELS.build(dict(
            type='Recognizer2D', cls_head=dict(type='TSNHead', num_classes=3, in_channels=64),
            backbone=dict(type='mmc2v.RecognizerBackbone',
                          tower=dict(type='mmc2v.CLIPVisionTower', arch=ARCH)),
            neck=dict(type='mmc2v.RecognizerNeck', neck=Returns(lambda x, m: x))))
    with pytest.raises(ValueError, match='the neck Returns must return'):
        model(torch.randn(1, 5, 3, 32, 32), [ActionDataSample().set_gt_label(0)], mode='loss')


@pytest.mark.parametrize(('function', 'returned'), [
    (lambda x, m: x.mean(dim=(3, 4)), r'returned \(4, 5, 3\) float'),
    (lambda x, m: (x.mean(dim=(3, 4)).flatten(0, 1), m), r'returned tuple\(\(20, 3\) float32, '),
    (lambda x, m: (x.mean(dim=(3, 4))[:, ::2], m), r'returned .*\(4, 3, 3\).*\(4, 5\) bool')])
def test_a_backbone_that_returns_something_else_is_named(function, returned):
    model = model_with(backbone=Returns(function))
    with pytest.raises(ValueError, match=r"the backbone Returns must return a tuple of \(B, T', D\)"
                       rf' tokens.*for 4 videos it {returned}'):
        model.encode_video(batch()['frames'])


def test_a_backbone_that_takes_no_mask_is_named_when_the_model_is_built():
    class Images(nn.Module):
        def forward(self, images):
            return images

    with pytest.raises(ValueError, match=r'the backbone Images must take \(frames, mask\) and '
                       r'return \(tokens, mask\)'):
        model_with(backbone=Images())


@pytest.mark.parametrize(('function', 'returned'), [
    (lambda t: torch.zeros(len(t), 64), r'\(4, 64\) float32'),
    (lambda t: TextTokens(torch.zeros(len(t), 64), torch.zeros(len(t), 64), t > 0), r'\(4, 64\)'),
    (lambda t: TextTokens(torch.zeros(len(t), 8), torch.zeros(*t.shape, 64), t > 0), r'\(4, 8\)')])
def test_a_text_backbone_that_returns_something_else_is_named(function, returned):
    model = model_with(text_backbone=Returns(function))
    with pytest.raises(ValueError, match=r'the text backbone Returns must return .*TextTokens\('
                       rf'sentence, words, word_mask\).*for 4 captions it returned .*{returned}'):
        model.encode_text(batch()['tokens'])


def test_widths_that_differ_are_said_with_both_numbers():
    backbone = Returns(lambda x, m: (x.mean(dim=(3, 4)), m))
    model = model_with(backbone=backbone, neck=model_config('tdb-attention-none')['neck'])
    with pytest.raises(ValueError, match='TemporalDifferenceBlock has embed_dim=64, but the '
                       'backbone gives frames of width 3'):
        model.encode_video(batch()['frames'])
    with pytest.raises(ValueError, match='RetrievalHead has embed_dim=64.*width 3'):
        model_with(backbone=backbone).encode_video(batch()['frames'])


def test_features_of_a_batch_are_its_embeddings():
    """As MMAction2's tools ask for them."""
    model, frames = build_model().eval(), batch()['frames']
    torch.testing.assert_close(model.extract_feat(frames), model.encode_video(frames))
