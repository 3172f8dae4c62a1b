"""The head stays float32 under autocast; its scale is bounded."""
import math

import pytest
import torch

from mmc2v.engine import AutocastOptimWrapper

from ...tiny import NECKS, batch, build_model


def test_logits_are_float32_under_the_bfloat16_wrapper():
    model = build_model().train()
    wrapper = AutocastOptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    inputs = batch()
    with wrapper.optim_context(model):
        frames, mask = model.backbone(inputs['frames'], inputs['frame_mask'])
        assert frames.dtype == torch.bfloat16
        video_tokens = model.neck(frames, mask)
        text_tokens = model.text_backbone(inputs['tokens'])
        video = model.head.embed_video(video_tokens)
        text = model.head.embed_text(text_tokens)
        logits = model.head.logits(text, video)
        losses = model.head.loss(text, video)
    assert video.dtype == text.dtype == logits.dtype == torch.float32
    # the same embeddings outside autocast: the arithmetic was float32 throughout
    assert torch.equal(model.head.embed_video(video_tokens), video)
    assert torch.equal(model.head.embed_text(text_tokens), text)
    assert torch.equal(model.head.logits(text, video), logits)
    outside = model.head.loss(text, video)
    assert all(torch.equal(losses[key], outside[key]) for key in losses)


@pytest.mark.parametrize('neck', NECKS)
def test_every_neck_trains_in_bfloat16(neck):
    model = build_model(neck).train()
    wrapper = AutocastOptimWrapper(torch.optim.AdamW(model.parameters(), lr=1e-3))
    inputs = dict(inputs=batch())
    inputs['inputs']['frame_mask'][0, 2:] = False
    losses = []
    for _ in range(3):
        with wrapper.optim_context(model):
            loss, _ = model.parse_losses(model(**inputs, mode='loss'))
        wrapper.update_params(loss)
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_autocast_is_close_to_float32():
    model = build_model().train()
    wrapper = AutocastOptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    inputs = batch()
    exact = model(inputs, mode='loss')
    with wrapper.optim_context(model):
        rounded = model(inputs, mode='loss')
    for key in exact:
        assert float(rounded[key]) == pytest.approx(float(exact[key]), rel=0.05)


def test_logit_scale_is_clamped_before_use_and_can_come_back():
    model = build_model('mean', alignment=False).train()
    head, inputs = model.head, batch()
    head.logit_scale.data.fill_(9.0)
    assert head.logit_scale.item() == 9.0
    losses = model(inputs, mode='loss')
    assert head.logit_scale.item() == pytest.approx(math.log(100))
    assert float(losses['logit_scale']) == pytest.approx(100, rel=1e-5)
    losses['loss_global'].backward()
    assert head.logit_scale.grad.abs() > 0  # not cut off by the clamp
