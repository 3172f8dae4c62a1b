"""Pictures of attention and alignment: the numbers in them are the model's own."""
import runpy
import sys
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from ..tiny import ROOT, batch, build_model, model_config, run_config, write_dataset

FOLDER = ROOT / 'tools' / 'visualizations'


@pytest.fixture(scope='module')
def tool():
    return runpy.run_path(str(FOLDER / 'alignment_picture.py'))


def one(num_frames=6, valid=None):
    inputs = {key: value[:1] for key, value in batch(num_frames=num_frames).items()}
    if valid is not None:
        inputs['frame_mask'][0, valid:] = False
    return inputs


def test_attention_is_that_of_the_forward_pass(tool):
    """Applied to the values, recorded attention gives the block's own output."""
    model = build_model().eval()
    tokens, mask = torch.randn(1, 7, 64), torch.ones(1, 7, dtype=torch.bool)
    block = model.neck.transformer.resblocks[0]
    attention = tool['record_attention'](model.neck.transformer, tokens, mask)
    assert attention.shape == (7, 7)
    torch.testing.assert_close(attention.sum(dim=-1), torch.ones(7))
    with torch.no_grad():
        hidden = block.ln_1(tokens[0])
        weight, bias = block.attn.in_proj_weight[128:], block.attn.in_proj_bias[128:]
        mixed = block.attn.out_proj(attention @ (hidden @ weight.T + bias))
        expected = block.attention(block.ln_1(tokens))[0]
    torch.testing.assert_close(mixed, expected, atol=1e-5, rtol=1e-4)


def test_shares_and_agreement_are_the_heads(tool):
    model = build_model().eval()
    seen = tool['look'](model, one(6))
    assert seen.attention.shape == (5, 11)
    assert seen.frame_share.shape == (6, 3)
    assert seen.coarse_share.shape == (3, 3)
    for share in (seen.frame_share, seen.coarse_share, seen.word_share):
        np.testing.assert_allclose(share.sum(axis=1), 1, rtol=1e-5)
    with torch.no_grad():
        inputs = one(6)
        video = model.encode_video(inputs['frames'], inputs['frame_mask'])
        assert seen.score == pytest.approx(float(video @ model.encode_text(inputs['tokens']).T),
                                           abs=1e-5)
    # without padding, and with it
    padded = one(6)
    padded['frame_mask'][0, 4:] = False
    assert tool['look'](model, padded).attention.shape == (3, 7)


@pytest.mark.parametrize(('neck', 'alignment'), [('mean', False), ('mean', True),
                                                 ('transformer-none', True)])
def test_models_without_some_parts_have_fewer_panels(tool, neck, alignment, tmp_path):
    model = build_model(neck, alignment).eval()
    seen = tool['look'](model, one(4))
    assert seen.attention is None
    assert (seen.frame_share is None) == (not alignment)
    assert seen.coarse_share is None
    tool['draw'](np.zeros((4, 32, 32, 3), np.uint8), seen, 'a caption',
                 ['word'] * (len(seen.word_share) if alignment else 1), tmp_path / 'a.png')
    assert Image.open(tmp_path / 'a.png').size[0] > 600


def test_script_draws_a_video(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    main = runpy.run_path(str(FOLDER / 'draw_alignment.py'), run_name='tool')['main']
    write_dataset(tmp_path / 'data', num_videos=1)
    config = run_config(tmp_path / 'data', tmp_path / 'work', model=model_config())
    config.dump(tmp_path / 'tiny.py')
    torch.save(dict(state_dict=build_model().state_dict()), tmp_path / 'tiny.pth')
    arguments = ['draw', str(tmp_path / 'tiny.py'), str(tmp_path / 'tiny.pth'),
                 str(tmp_path / 'data' / 'videos' / '0.mp4'), '--out', str(tmp_path / 'pictures')]
    monkeypatch.setattr(sys, 'argv', [*arguments, '--captions', 'noise of many colours'])
    main()
    picture = np.asarray(Image.open(tmp_path / 'pictures' / '0.png').convert('RGB'))
    assert picture.std() > 20
    monkeypatch.setattr(sys, 'argv', [*arguments, '--captions', 'one', 'two'])
    with pytest.raises(SystemExit):
        main()


@pytest.mark.parametrize('caption', ['a $5 prize, then $6', '一只狗 🐕 Привет', 'on and on ' * 40])
def test_any_caption_is_drawn(tool, caption, tmp_path):
    """Whole: long ones in several lines; what looks like mathematics is not taken for it."""
    seen = tool['look'](build_model().eval(), one(4))
    seen = seen._replace(word_share=seen.word_share[:1])
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of letters that the font lacks
        tool['draw'](np.zeros((4, 32, 32, 3), np.uint8), seen, caption, [caption[:4]],
                     tmp_path / 'a.png')
    with Image.open(tmp_path / 'a.png') as image:
        assert image.size[0] == 900


def test_heat_fills_its_axes_and_every_tick_has_a_name(tool, tmp_path, monkeypatch):
    plt = tool['draw'].__globals__['plt']
    monkeypatch.setattr(plt, 'close', lambda figure: None)
    seen = tool['look'](build_model().eval(), one(6))
    tool['draw'](np.zeros((6, 32, 32, 3), np.uint8), seen, 'a caption', ['w'] * len(
        seen.word_share), tmp_path / 'a.png')
    figure = plt.gcf()
    monkeypatch.undo()
    panels = [axes for axes in figure.axes if axes.get_title(loc='left')]
    assert len(panels) == 4
    for axes in panels[1:]:  # the first holds the frames
        left, right, *_ = axes.images[0].get_extent()
        assert axes.get_xlim() == (left, right)
    for axes in panels:
        assert all(label.get_text() for label in axes.get_xticklabels())
    assert not np.isnan(panels[2].images[0].get_array()).any()
    plt.close(figure)


def test_words_are_spelt_whole(tool):
    from mmc2v.datasets.transforms import Tokenize
    step = Tokenize(max_words=16)
    tokens = step.transform(dict(captions=['a checkered ring, caf\u00e9']))['tokens']
    mask = (tokens != 0) & (torch.arange(16) > 0)
    words, owners = tool['words_of'](tokens, mask, step.tokenizer, 49407)
    assert words == ['a', 'checkered', 'ring', ',', 'caf\u00e9', '(end)']
    assert owners[:5] == [0, 1, 1, 2, 3]
    assert owners[-2:] == [4, 5]
    words, owners = tool['words_of'](tokens[:, :5], mask[:, :5], step.tokenizer, None)
    assert (words, owners) == (['a', 'checkered', 'ring'], [0, 1, 1, 2])


def test_shares_of_a_word_are_the_mean_of_its_pieces(tool):
    shares = np.array([[1.0, 0.0], [0.5, 0.5], [0.1, 0.9], [0.0, 1.0]])
    np.testing.assert_allclose(tool['mean_over_words'](shares, [0, 1, 1, 2]),
                               [[1, 0], [0.3, 0.7], [0, 1]])
