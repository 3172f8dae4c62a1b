"""Modes, single modalities, and what is refused."""
import pytest
import torch
from mmaction.structures import ActionDataSample

from mmc2v.registry import MODELS

from ..tiny import NECKS, batch, build_model, model_config


def test_three_modes_agree():
    model = build_model().eval()
    inputs = batch()
    with torch.no_grad():
        video, text = model(inputs)
        assert video.shape == text.shape == (4, 2, 64)
        inputs['captions_per_video'] = [1, 3]
        pairs = dict(inputs, frames=inputs['frames'][:2], frame_mask=inputs['frame_mask'][:2])
        samples = model(pairs, [ActionDataSample(), ActionDataSample()], mode='predict')
        assert samples[1].text_embeddings.shape == (3, 128)
        flat_text = torch.cat([sample.text_embeddings for sample in samples])
        flat_video = torch.stack([sample.video_embedding for sample in samples])
    torch.testing.assert_close(flat_video.norm(dim=1), torch.ones(2))
    logits = model.head.logits(text, video[:2])
    expected = 0.5 * logits[0] + 0.5 * logits[1]
    torch.testing.assert_close(model.head.logit_scale.exp() * flat_text @ flat_video.T, expected)


def test_either_modality_alone():
    model = build_model().eval()
    inputs = batch()
    with torch.no_grad():
        video, nothing = model(dict(frames=inputs['frames']))
        assert nothing is None
        torch.testing.assert_close(model.head.flatten(video), model.encode_video(inputs['frames']))
        nothing, text = model(dict(tokens=inputs['tokens']))
        assert nothing is None
        torch.testing.assert_close(model.head.flatten(text), model.encode_text(inputs['tokens']))
        sample = model(dict(tokens=inputs['tokens'][:1]), [ActionDataSample()], mode='predict')[0]
    assert 'video_embedding' not in sample
    assert sample.text_embeddings.shape == (1, 128)


def test_weight_moves_the_score_between_the_two_embeddings():
    inputs = batch()
    model = build_model().eval()
    with torch.no_grad():
        video, text = model(inputs)
        model.head.global_weight = 1.0
        scores = model.encode_text(inputs['tokens']) @ model.encode_video(inputs['frames']).T
        torch.testing.assert_close(scores, text[:, 0] @ video[:, 0].T)
        model.head.global_weight = 0.0
        scores = model.encode_text(inputs['tokens']) @ model.encode_video(inputs['frames']).T
        torch.testing.assert_close(scores, text[:, 1] @ video[:, 1].T)


def test_single_frame_is_evaluated_and_refused_in_training():
    inputs = batch(num_frames=1)
    for neck in NECKS:
        model = build_model(neck).eval()
        assert torch.isfinite(model.encode_video(inputs['frames'])).all()
    model = build_model().train()
    with pytest.raises(ValueError, match='single frames'):
        model(inputs, mode='loss')


def test_bad_inputs_are_value_errors():
    model = build_model().eval()
    inputs = batch()
    empty = inputs['frame_mask'].clone()
    empty[2] = False
    with pytest.raises(ValueError, match=r'videos \[2\].*no valid frame'):
        model.encode_video(inputs['frames'], empty)
    with pytest.raises(ValueError, match='33 frames.*32 positions'):
        model.neck(torch.zeros(1, 33, 64), torch.ones(1, 33, dtype=torch.bool))
    with pytest.raises(ValueError, match='33 text tokens.*32'):
        model.encode_text(torch.full((1, 33), 49407))
    with pytest.raises(ValueError, match='no end token'):
        model.encode_text(torch.ones(1, 5, dtype=torch.long))
    with pytest.raises(ValueError, match=r'\(3, 16, 16\)'):
        model.encode_video(torch.zeros(1, 2, 3, 16, 16))
    with pytest.raises(ValueError, match='3 videos and 4 captions'):
        model(dict(inputs, frames=inputs['frames'][:3], frame_mask=None), mode='loss')
    with pytest.raises(ValueError, match="got 'train'"):
        model(inputs, mode='train')


@pytest.mark.parametrize('neck', [n for n in NECKS if n.endswith(('frames', 'differences'))])
def test_local_branch_that_nobody_reads_is_refused(neck):
    with pytest.raises(ValueError, match='alignment is None'):
        MODELS.build(model_config(neck, alignment=False))


def test_difference_branch_without_differences_is_refused():
    config = model_config('transformer-none')
    config['neck']['local_branch'] = dict(type='mmc2v.DifferenceLocalBranch')
    with pytest.raises(ValueError, match='difference tokens'):
        MODELS.build(config)


def test_wrong_numbers_are_refused_when_built():
    config = model_config()
    config['head']['global_weight'] = 1.5
    with pytest.raises(ValueError, match=r'1\.5'):
        MODELS.build(config)
    config = model_config()
    config['head']['alignment'] = dict(type='mmc2v.TemporalAlignmentBlock', num_centers=0)
    with pytest.raises(ValueError, match='num_centers'):
        MODELS.build(config)
    config = model_config()
    config['neck']['num_heads'] = 5
    with pytest.raises(ValueError, match='multiple of 5 heads'):
        MODELS.build(config)


@pytest.mark.parametrize('neck', NECKS)
def test_every_parameter_gets_a_gradient(neck):
    model = build_model(neck).train()
    losses = model(batch(), mode='loss')
    sum(value for key, value in losses.items() if 'loss' in key).backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


def test_data_preprocessor_normalises_pads_and_trims():
    preprocessor = MODELS.build(dict(type='mmc2v.RetrievalDataPreprocessor'))
    frames = torch.randint(0, 256, (2, 3, 3, 8, 8), dtype=torch.uint8)
    mask = torch.tensor([[True, True, True], [True, False, False]])
    tokens = [torch.tensor([[9, 5, 7, 0, 0]]), torch.tensor([[9, 0, 5, 7, 0], [9, 7, 0, 0, 0]])]
    out = preprocessor(dict(inputs=dict(frames=list(frames), frame_mask=list(mask), tokens=tokens),
                            data_samples=['a', 'b']))
    assert out['data_samples'] == ['a', 'b']
    assert out['inputs']['captions_per_video'] == [1, 2]
    assert out['inputs']['tokens'].tolist() == [[9, 5, 7, 0], [9, 0, 5, 7], [9, 7, 0, 0]]
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1)
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(3, 1, 1)
    expected = (frames / 255 - mean) / std
    torch.testing.assert_close(out['inputs']['frames'][0], expected[0])
    torch.testing.assert_close(out['inputs']['frames'][1, 0], expected[1, 0])
    assert not out['inputs']['frames'][1, 1:].any()  # zero after normalisation
