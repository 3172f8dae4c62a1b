"""Padding has no influence on outputs and gradients, in frames and in words."""
import pytest
import torch

from mmc2v.models.necks.frame_tokens import DifferenceTokens

from ..tiny import batch, build_model, combinations

VALID = [5, 1, 2, 4]  # beside a full clip, the shortest ones


def padded(valid=VALID, seed=0):
    inputs = batch(len(valid), num_frames=5, seed=seed)
    inputs['frame_mask'] = torch.arange(5) < torch.tensor(valid)[:, None]
    inputs['frames'] = inputs['frames'].masked_fill(
        ~inputs['frame_mask'][..., None, None, None], 0.0)
    return inputs


def gradients(model, inputs):
    model.zero_grad()
    sum(value for key, value in model(inputs, mode='loss').items() if 'loss' in key).backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()
            if parameter.grad is not None}


@pytest.mark.parametrize(('neck', 'alignment'), combinations())
def test_noise_in_padded_frames_changes_nothing(neck, alignment):
    model = build_model(neck, alignment).train()
    clean, noisy = padded(), padded()
    noisy['frames'] = torch.where(clean['frame_mask'][..., None, None, None], clean['frames'],
                                  7 * torch.randn_like(clean['frames']))
    torch.testing.assert_close(model.encode_video(clean['frames'], clean['frame_mask']),
                               model.encode_video(noisy['frames'], clean['frame_mask']),
                               atol=1e-6, rtol=0)
    before, after = gradients(model, clean), gradients(model, noisy)
    assert set(before) == {name for name, _ in model.named_parameters()}
    for name, gradient in before.items():
        assert torch.isfinite(gradient).all(), name
        scale = gradient.abs().max().clamp(min=1)
        torch.testing.assert_close(after[name] / scale, gradient / scale, atol=1e-6, rtol=0,
                                   msg=name)


@pytest.mark.parametrize(('neck', 'alignment'), combinations())
@pytest.mark.parametrize('training', [True, False])
def test_padded_video_equals_itself_cut_to_its_frames(neck, alignment, training):
    model = build_model(neck, alignment).train(training)
    inputs = padded()
    with torch.no_grad():
        together = model.encode_video(inputs['frames'], inputs['frame_mask'])
        for row, valid in enumerate(VALID):
            if training and valid == 1:
                continue  # refused where there are no differences
            alone = model.encode_video(inputs['frames'][row:row + 1, :valid])
            torch.testing.assert_close(together[row:row + 1], alone, atol=1e-6, rtol=0)


@pytest.mark.parametrize('alignment', [True, False])
def test_padded_words_change_nothing(alignment):
    model = build_model('mean', alignment).eval()
    tokens = batch()['tokens']
    longer = torch.cat([tokens, torch.zeros(4, 6, dtype=torch.long)], dim=1)
    noisy = longer.clone()
    for row in range(len(noisy)):  # after the end token, other real tokens and another end
        end = int((noisy[row] == 49407).int().argmax())
        noisy[row, end + 1:] = 1234
        noisy[row, -1] = 49407
    with torch.no_grad():
        expected = model.encode_text(tokens)
        torch.testing.assert_close(model.encode_text(longer), expected, atol=1e-6, rtol=0)
        torch.testing.assert_close(model.encode_text(noisy), expected, atol=1e-6, rtol=0)


def test_order_of_batch_does_not_matter():
    """The published code lets a video get another video's mask; ours does not."""
    model = build_model().eval()
    inputs = padded()
    order = torch.tensor([2, 0, 3, 1])
    with torch.no_grad():
        expected = model.encode_video(inputs['frames'], inputs['frame_mask'])
        found = model.encode_video(inputs['frames'][order], inputs['frame_mask'][order])
    torch.testing.assert_close(found, expected[order], atol=1e-6, rtol=0)


def test_difference_into_padding_is_masked():
    """The published code attends the difference token between the last frame and padding."""
    interleave = build_model().neck.token_makers[DifferenceTokens].interleave
    valid = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1]]).bool()
    _, mask = interleave(torch.randn(2, 4, 64), valid)
    assert mask.int().tolist() == [[1, 1, 1, 0, 0, 0, 0], [1] * 7]
