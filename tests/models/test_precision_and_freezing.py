"""Half precision, checkpointing of activations, and frozen layers."""
import pytest
import torch

from mmc2v.apis import use_bf16_weights

from ..tiny import ARCH, batch, build_model, combinations

TALL = dict(ARCH, vision_cfg=dict(ARCH['vision_cfg'], layers=3),
            text_cfg=dict(ARCH['text_cfg'], layers=3))


def with_towers(**kwargs):
    """A model of three blocks a tower, with options of both towers."""
    from mmc2v.registry import MODELS

    from ..tiny import model_config
    config = model_config(arch=TALL)
    for part in ('backbone', 'text_backbone'):
        config[part].update(kwargs)
    torch.manual_seed(0)
    return MODELS.build(config).train()


def gradients(model):
    losses = model(batch(), mode='loss')
    sum(value for key, value in losses.items() if 'loss' in key).backward()
    return {name: parameter.grad for name, parameter in model.named_parameters()
            if parameter.grad is not None}


@pytest.mark.parametrize(('neck', 'alignment'), combinations())
def test_bf16_weights_embed_as_float32_ones(neck, alignment):
    model, inputs = build_model(neck, alignment).eval(), batch()
    with torch.inference_mode():
        expected = model(inputs)
        head = {name: value.clone() for name, value in model.head.state_dict().items()}
        use_bf16_weights(model)
        found = model(inputs)
    for own, whole in zip(found, expected):
        assert own.dtype == torch.float32
        assert not torch.equal(own, whole)
        assert torch.cosine_similarity(own, whole, dim=-1).min() > 0.999
        torch.testing.assert_close(own.norm(dim=-1), torch.ones(own.shape[:-1]))
    assert all(value.dtype == torch.bfloat16 for value in model.backbone.parameters())
    for name, value in model.head.state_dict().items():
        assert torch.equal(value, head[name])


def test_embeddings_and_loss_are_float32_under_autocast():
    model, seen = build_model().train(), []
    model.backbone.register_forward_hook(
        lambda module, inputs, output: seen.append(output[0].dtype))
    with torch.autocast('cpu', torch.bfloat16):
        video, text = model(batch())
        losses = model(batch(), mode='loss')
    assert set(seen) == {torch.bfloat16}
    assert {value.dtype for value in (video, text, *losses.values())} == {torch.float32}


def test_head_computes_in_float32_under_autocast():
    """float32 is also what comes out of a float32 loss of bfloat16 scores."""
    model = build_model().train()
    inputs = batch()
    with torch.autocast('cpu', torch.bfloat16):
        video = model.neck(*model.backbone(inputs['frames'], inputs['frame_mask']))
        text = model.text_backbone(inputs['tokens'])

    def compute():
        embeddings = model.head.embed_text(text), model.head.embed_video(video)
        return *embeddings, model.head.logits(*embeddings), *model.head.loss(*embeddings).values()
    expected = compute()
    with torch.autocast('cpu', torch.bfloat16):
        found = compute()
    assert text.sentence.dtype == torch.bfloat16
    assert all(torch.equal(own, whole) for own, whole in zip(found, expected, strict=True))


@pytest.mark.parametrize('frozen', [-1, 1])
def test_checkpointing_of_activations_keeps_the_gradient(frozen):
    plain = gradients(with_towers(freeze_layer_num=frozen))
    checkpointed = gradients(with_towers(freeze_layer_num=frozen, grad_checkpointing=True))
    assert plain.keys() == checkpointed.keys()
    for name, value in plain.items():
        torch.testing.assert_close(checkpointed[name], value, msg=name)


@pytest.mark.parametrize('frozen', [0, 2, 3])
def test_lower_layers_are_frozen_as_in_clip4clip(frozen):
    model = with_towers(freeze_layer_num=frozen)
    before = ('visual.conv1.', 'visual.class_embedding', 'visual.positional_embedding',
              'visual.ln_pre.', 'token_embedding.', 'positional_embedding')
    for name, parameter in model.named_parameters():
        tower, _, inside = name.partition('.')
        if tower in ('backbone', 'text_backbone'):
            _, is_block, block = inside.partition('resblocks.')
            expected = int(block.split('.')[0]) >= frozen if is_block else \
                not inside.startswith(before)
            assert parameter.requires_grad == expected, name
        else:
            assert parameter.requires_grad, name
    found = gradients(model)
    assert 'text_backbone.text_projection' in found
    assert not any('token_embedding' in name for name in found)
    assert any('resblocks.2' in name for name in found) == (frozen < 3)


def test_more_layers_than_there_are_is_an_error():
    assert all(parameter.requires_grad for parameter in with_towers().parameters())
    with pytest.raises(ValueError, match='freeze_layer_num=4, but the tower has 3 blocks'):
        with_towers(freeze_layer_num=4)
