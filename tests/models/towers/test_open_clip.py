"""Towers of every kind in open_clip compute what open_clip's whole model computes."""
import logging

import open_clip
import pytest
import torch
from open_clip.transform import PreprocessCfg
from torch import nn

from mmc2v.models import read_clip_weights
from mmc2v.models.clip.architecture import clip_config, clip_preprocessing, text_convention
from mmc2v.models.clip.initialise import _warn_of_other_preprocessing
from mmc2v.registry import MODELS

from ...tiny import ARCH

TEXT = dict(context_length=16, vocab_size=300, width=64, heads=1, layers=2)
SIGLIP = dict(TEXT, hf_tokenizer_name='timm/ViT-B-16-SigLIP2', no_causal_mask=True, proj_bias=True,
              pool_type='last', norm_kwargs=dict(eps=1e-6), act_kwargs=dict(approximate='tanh'))


def timm(name, image_size, **kwargs):
    return dict(timm_model_name=name, timm_model_pretrained=False, image_size=image_size, **kwargs)


# one of each family, small; its whole model, and its architecture
FAMILIES = {
    'PE-Core': (open_clip.CustomTextCLIP, dict(embed_dim=64, text_cfg=TEXT, vision_cfg=timm(
        'vit_pe_core_tiny_patch16_384', 384, timm_pool='map', timm_proj=None))),
    'SigLIP2': (open_clip.CustomTextCLIP, dict(embed_dim=192, text_cfg=SIGLIP, vision_cfg=timm(
        'vit_tiny_patch16_224', 224, timm_pool='map', timm_proj='none'))),
    'CLIPA': (open_clip.CLIP, dict(embed_dim=64, text_cfg=dict(
        TEXT, hf_tokenizer_name='bert-base-uncased', pool_type='last', no_causal_mask=True),
        vision_cfg=dict(image_size=32, patch_size=16, width=64, layers=1, no_ln_pre=True,
                        pool_type='avg', final_ln_after_pool=True))),
    'worldwide': (open_clip.CLIP, dict(embed_dim=64, text_cfg=dict(
        TEXT, hf_tokenizer_name='facebook/xlm-v-base', pool_type='eos', eos_id=2),
        vision_cfg=dict(image_size=32, patch_size=16, width=64, layers=1))),
    'MobileCLIP2': (open_clip.CustomTextCLIP, dict(embed_dim=64, text_cfg=dict(
        TEXT, no_causal_mask=True), vision_cfg=timm('fastvit_t8', 256, timm_pool='avg',
                                                    timm_proj=None))),
    'EVA02': (open_clip.CustomTextCLIP, dict(embed_dim=64, text_cfg=TEXT, vision_cfg=timm(
        'eva02_tiny_patch14_224', 224, timm_pool='token', timm_proj=None))),
    'ConvNeXt': (open_clip.CLIP, dict(embed_dim=64, text_cfg=TEXT, vision_cfg=timm(
        'convnext_atto', 224, timm_pool='', timm_proj='linear', timm_drop_path=0.1))),
    'ResNet': (open_clip.CLIP, dict(embed_dim=64, text_cfg=TEXT, vision_cfg=dict(
        image_size=64, layers=[1, 1, 1, 1], width=16, head_width=64, patch_size=None))),
}


def pair(name, folder, **kwargs):
    """Return open_clip's model, and ours that read its weights from a file."""
    torch.manual_seed(0)
    kind, arch = FAMILIES[name]
    reference = kind(**clip_config(arch)).eval()
    torch.save(reference.state_dict(), folder / 'weights.pt')
    fits = arch['embed_dim'] == TEXT['width']
    neck = dict(type='mmc2v.TemporalDifferenceBlock', embed_dim=arch['embed_dim'], num_layers=1,
                max_frames=16, init_from_text=fits)
    model = MODELS.build(dict(
        type='mmc2v.CLIP2Video', pretrained=str(folder / 'weights.pt'),
        backbone=dict(type='mmc2v.CLIPVisionTower', arch=arch),
        text_backbone=dict(type='mmc2v.CLIPTextTower', arch=arch), neck=neck,
        head=dict(type='mmc2v.RetrievalHead', embed_dim=arch['embed_dim']), **kwargs))
    return reference, model, model.init_weights()


def captions(arch, lengths=(4, 7, 6)):
    """Token ids as the tokenizer of an architecture lays them out, up to the whole context."""
    has_start, end, pad = text_convention(arch)
    tokens = torch.full((len(lengths), TEXT['context_length']), pad)
    for row, length in enumerate(lengths):
        tokens[row, :length] = torch.randint(10, 290, (length,))
        if has_start:
            tokens[row, 0] = TEXT['vocab_size'] - 2 if end == TEXT['vocab_size'] - 1 else 5
        if end is not None:
            tokens[row, length - 1] = end
    return tokens


@pytest.mark.parametrize('name', FAMILIES)
def test_family_is_open_clips_own(name, tmp_path):
    reference, model, random = pair(name, tmp_path)
    model.eval()
    arch, lengths = FAMILIES[name][1], (4, 7, 6)
    tokens = captions(arch, lengths)
    images = torch.randn(2, 3, *model.backbone.image_size)
    with torch.no_grad():
        found, _ = model.backbone(images[:, None], torch.ones(2, 1, dtype=torch.bool))
        torch.testing.assert_close(found[:, 0], reference.encode_image(images),
                                   atol=1e-5, rtol=1e-4)
        whole = model.text_backbone(tokens)
        trimmed = model.text_backbone(tokens[:, :max(lengths)])  # as the preprocessor does
        expected = reference.encode_text(tokens)
    for text in (whole, trimmed):
        torch.testing.assert_close(text.sentence, expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(whole.words[:, :max(lengths)], trimmed.words, atol=1e-5, rtol=1e-4)
    has_start = text_convention(arch).has_start
    assert trimmed.word_mask.sum(dim=1).tolist() == [n - has_start for n in lengths]
    if has_start:
        assert not trimmed.word_mask[:, 0].any()
    # temporal blocks start from text blocks where those are of their width, or are reported
    block = model.neck.transformer.resblocks[0].attn.in_proj_weight
    clip = read_clip_weights(model.pretrained, arch)
    source = clip['transformer.resblocks.0.attn.in_proj_weight']
    fits = model.neck.init_from_text
    assert (block.shape == source.shape and torch.equal(block, source)) == fits
    assert random == [] if fits else {key.split('.')[0] for key in random} == {'neck'}


def test_other_widths_are_refused_unless_the_start_is_random(tmp_path):
    model = pair('SigLIP2', tmp_path)[1]
    model.neck.init_from_text = True
    with pytest.raises(ValueError, match='init_from_text=False'):
        model.init_weights()


def test_other_heads_are_refused_though_their_weights_would_fit(tmp_path):
    model = pair('PE-Core', tmp_path)[1]
    model.neck.transformer.num_heads = 2
    with pytest.raises(ValueError, match='have 2 attention heads.*have 1: set num_heads=1'):
        model.init_weights()
    for part in model.neck.modules():
        part.init_from_text = False
    assert 'neck.transformer.resblocks.0.attn.in_proj_weight' in model.init_weights()


def test_pooling_an_end_token_that_is_not_there_is_refused():
    arch = dict(ARCH, text_cfg=dict(ARCH['text_cfg'], hf_tokenizer_name='bert-base-uncased'))
    with pytest.raises(ValueError, match='pools the end token, but there is none'):
        MODELS.build(dict(type='mmc2v.CLIPTextTower', arch=arch))


@pytest.mark.parametrize('name', ['MobileCLIP2', 'ResNet'])
def test_padding_has_no_influence_through_batch_norm(name, tmp_path):
    tower = pair(name, tmp_path)[1].backbone.train()
    images = torch.randn(2, 3, 3, *tower.image_size)
    mask = torch.tensor([[True, True, True], [True, False, False]])
    start = {key: value.clone() for key, value in tower.state_dict().items()}
    outputs = []
    for value in (0.0, 50.0):
        tower.load_state_dict(start)
        torch.manual_seed(0)
        padded = torch.where(mask[..., None, None, None], images, torch.tensor(value))
        embeddings, own = tower(padded, mask)
        assert own is mask
        assert not embeddings[~mask].any()
        outputs.append(embeddings)
    assert torch.equal(*outputs)


def test_every_architecture_says_how_it_reads_text():
    """144 names: two towers of its own, or why not."""
    refused = {}
    for name in open_clip.list_models():
        try:
            convention = text_convention(clip_config(name))
        except ValueError as error:
            refused[name] = str(error)
            continue
        assert convention.pad_token in (0, 1), name
    assert len(refused) <= 13
    assert all('CoCa' in text or 'transformers' in text for text in refused.values()), refused


def test_layers_of_other_encoders_cannot_be_frozen_by_number():
    with pytest.raises(ValueError, match='ModifiedResNet'):
        MODELS.build(dict(type='mmc2v.CLIPVisionTower', arch=FAMILIES['ResNet'][1],
                          freeze_layer_num=0))


def test_unknown_tokenizer_asks_for_its_convention():
    arch = dict(ARCH, text_cfg=dict(ARCH['text_cfg'], hf_tokenizer_name='my/own'))
    with pytest.raises(ValueError, match=r"'my/own'.*convention=\(has_start, end_token"):
        MODELS.build(dict(type='mmc2v.CLIPTextTower', arch=arch))
    tower = MODELS.build(dict(type='mmc2v.CLIPTextTower', arch=arch, convention=(False, 7, 0)))
    mask = tower(torch.tensor([[3, 4, 7, 0], [5, 7, 0, 0]])).word_mask
    assert mask.tolist() == [[True, True, True, False], [True, True, False, False]]


def test_preprocessing_is_that_of_the_weights():
    pe = clip_preprocessing('PE-Core-B-16', 'meta')
    assert pe == PreprocessCfg(224, mean=(.5,) * 3, std=(.5,) * 3, interpolation='bilinear',
                               resize_mode='squash')
    siglip = clip_preprocessing('ViT-B-16-SigLIP2', 'webli')
    assert (siglip.mean, siglip.interpolation) == ((.5,) * 3, 'bicubic')
    assert siglip.resize_mode == 'squash'
    clip = clip_preprocessing('ViT-B-32-quickgelu', 'openai')
    default = MODELS.build(dict(type='mmc2v.RetrievalDataPreprocessor'))
    torch.testing.assert_close(default.mean.flatten(), 255 * torch.tensor(clip.mean))
    assert clip.resize_mode == 'shortest'
    with pytest.raises(ValueError, match="no weights 'nonsense' of PE-Core-B-16.*meta"):
        clip_preprocessing('PE-Core-B-16', 'nonsense')


def test_wrong_normalisation_is_a_warning(monkeypatch):
    said = []
    monkeypatch.setattr('mmc2v.models.clip.initialise.print_log',
                        lambda text, level=logging.INFO, **kwargs: said.append((level, text)))
    with torch.device('meta'):
        model = MODELS.build(dict(
            type='mmc2v.CLIP2Video', pretrained='meta',
            backbone=dict(type='mmc2v.CLIPVisionTower', arch='PE-Core-T-16-384'),
            text_backbone=nn.Identity(), neck=nn.Identity(), head=nn.Identity()))
    model.data_preprocessor = MODELS.build(dict(type='mmc2v.RetrievalDataPreprocessor'))
    _warn_of_other_preprocessing(model, 'meta', 'PE-Core-T-16-384')
    assert said[0][0] == logging.WARNING
    assert 'data_preprocessor has' in said[0][1]
