"""The towers compute what open_clip's whole model computes."""
import open_clip
import pytest
import torch

from mmc2v.models import CLIPTextTower, CLIPVisionTower
from mmc2v.models.clip.architecture import clip_config

from ...tiny import ARCH, batch


@pytest.fixture(scope='module')
def clip():
    torch.manual_seed(0)
    return open_clip.CLIP(**ARCH).eval()


@torch.no_grad()
def test_end_token_column_is_encode_text(clip):
    tower = CLIPTextTower(ARCH).eval()
    tower.init_from_clip(clip.state_dict())
    tokens = batch()['tokens']
    # open_clip wants all 32 positions
    full = torch.cat([tokens, torch.zeros(4, 24, dtype=torch.long)], dim=1)
    expected = clip.encode_text(full)
    for given in (tokens, full):
        text = tower(given)
        torch.testing.assert_close(text.sentence, expected, atol=1e-6, rtol=1e-5)
        end = (given == 49407).int().argmax(dim=1)
        torch.testing.assert_close(text.words[torch.arange(4), end], expected, atol=1e-6, rtol=1e-5)


@torch.no_grad()
def test_word_mask_is_start_off_end_on_and_zero_is_a_word():
    tower = CLIPTextTower(ARCH).eval()
    tokens = torch.tensor([[49406, 0, 17, 49407, 0, 49407], [49406, 49407, 0, 0, 0, 0]])
    assert tower(tokens).word_mask.int().tolist() == [[0, 1, 1, 1, 0, 0], [0, 1, 0, 0, 0, 0]]


@torch.no_grad()
def test_vision_tower_is_encode_image_of_each_frame(clip):
    tower = CLIPVisionTower(ARCH).eval()
    tower.init_from_clip(clip.state_dict())
    images = torch.randn(6, 3, 32, 32)
    expected = clip.encode_image(images)
    mask = torch.ones(2, 3, dtype=torch.bool)
    tokens, token_mask = tower(images.view(2, 3, 3, 32, 32), mask)
    torch.testing.assert_close(tokens, expected.view(2, 3, 64))
    assert token_mask is mask


def test_halves_hold_nothing_of_each_other(clip):
    names = [{name for name, _ in CLIPVisionTower(ARCH).named_parameters()},
             {f'text.{name}' for name, _ in CLIPTextTower(ARCH).named_parameters()}]
    own = {name if name.startswith('visual.') else f'text.{name}'
           for name, _ in clip.named_parameters() if name != 'logit_scale'}
    assert set.union(*names) == own


def test_gradient_checkpointing_changes_nothing():
    frames, mask = torch.randn(1, 2, 3, 32, 32), torch.ones(1, 2, dtype=torch.bool)
    gradients = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        tower = CLIPVisionTower(ARCH, grad_checkpointing=checkpointing).train()
        assert tower.visual.transformer.grad_checkpointing == checkpointing
        tower(frames, mask)[0].square().sum().backward()
        gradients.append(tower.visual.conv1.weight.grad)
    torch.testing.assert_close(*gradients)


def saved_bytes(tower, *inputs):
    """Bytes of activations that a forward pass keeps for the backward pass."""
    total = 0

    def pack(tensor):
        nonlocal total
        total += tensor.numel() * tensor.element_size()
        return tensor
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        tower(*inputs)
    return total


@pytest.mark.parametrize(('kind', 'given'), [
    (CLIPVisionTower, (torch.randn(1, 2, 3, 32, 32), torch.ones(1, 2, dtype=torch.bool))),
    (CLIPTextTower, (batch()['tokens'],))])
def test_gradient_checkpointing_saves_memory(kind, given):
    plain, checkpointed = (saved_bytes(kind(ARCH, grad_checkpointing=on).train(), *given)
                           for on in (False, True))
    assert checkpointed < plain / 2


@pytest.mark.parametrize('kind', [CLIPVisionTower, CLIPTextTower])
def test_frozen_layers_start_from_clip_as_well(kind, clip):
    tower, whole = kind(ARCH, freeze_layer_num=1), kind(ARCH)
    for each in (tower, whole):
        each.init_from_clip(clip.state_dict())
    assert not all(parameter.requires_grad for parameter in tower.parameters())
    assert all(torch.equal(*pair) for pair in zip(tower.parameters(), whole.parameters()))


def test_unknown_architectures_are_refused():
    with pytest.raises(ValueError, match='ViT-B-33'):
        clip_config('ViT-B-33')
    with pytest.raises(ValueError, match='is a CoCa'):
        clip_config('coca_ViT-B-32')
    with pytest.raises(ValueError, match='a model of transformers'):
        clip_config('roberta-ViT-B-32')
    with pytest.raises(ValueError, match='quick_jelu'):
        clip_config(dict(ARCH, quick_jelu=True))
