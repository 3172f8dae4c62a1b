"""Backbones of MMAction2 as video towers, one of each family."""
import pytest
import torch
from mmengine.model import BaseModel
from torch import nn

from mmc2v.registry import MODELS

from ...tiny import ARCH, NECKS, TAB, batch

RESNET = dict(depth=18)
RESNET3D = dict(depth=18, base_channels=8, pretrained=None, pretrained2d=False)
WIDTH = 64  # of 3D ResNets with 8 base channels as of the transformers
# name -> arguments, frames, channels, time steps
FAMILIES = {
    'ResNet': (RESNET, 8, 512, 8),
    'ResNetTSM': (dict(RESNET, num_segments=8, pretrained2d=False), 8, 512, 8),
    'MobileNetV2': (dict(widen_factor=0.25), 8, 1280, 8),
    'TANet': (dict(depth=50, num_segments=8), 8, 2048, 8),
    'C2D': (dict(depth=50), 8, 2048, 4),
    'ResNet3d': (RESNET3D, 8, WIDTH, 4),
    'ResNet3dSlowOnly': (dict(RESNET3D, depth=50), 8, 4 * WIDTH, 8),
    'X3D': (dict(gamma_w=1, gamma_b=2.25, gamma_d=1), 8, 432, 8),
    'SwinTransformer3D': (dict(arch=dict(embed_dims=16, depths=[1, 1, 1, 1],
                                         num_heads=[1, 1, 2, 2]),
                               pretrained2d=False, window_size=(8, 2, 2)), 8, 128, 4),
    'MViT': (dict(arch=dict(embed_dims=16, num_layers=4, num_heads=1, downscale_indices=[1, 2, 3]),
                  temporal_size=8, spatial_size=64), 8, 128, 4),
    'UniFormer': (dict(depth=[1, 1, 1, 1], embed_dim=[16, 16, 32, 64], head_dim=16,
                       pretrained2d=False), 8, WIDTH, 4),
    'UniFormerV2': (dict(input_resolution=64, width=64, layers=3, heads=2, t_size=8,
                         return_list=[1, 2], n_layers=2, n_dim=64, n_head=2, mlp_dropout=[0, 0],
                         clip_pretrained=False), 8, WIDTH, 8),
    'TimeSformer': (dict(num_frames=8, img_size=64, patch_size=16, embed_dims=64, num_heads=2,
                         num_transformer_layers=2), 8, WIDTH, 8),
    'VisionTransformer': (dict(img_size=64, embed_dims=64, depth=2, num_heads=2, num_frames=8),
                          8, WIDTH, 4),
}
SLOWFAST = dict(resample_rate=4, speed_ratio=4, channel_ratio=8,
                slow_pathway=dict(type='resnet3d', depth=18, pretrained=None, lateral=True,
                                  base_channels=8, conv1_kernel=(1, 7, 7), conv1_stride_t=1,
                                  pool1_stride_t=1, inflate=(0, 0, 1, 1)),
                fast_pathway=dict(type='resnet3d', depth=18, pretrained=None, lateral=False,
                                  base_channels=1, conv1_kernel=(5, 7, 7), conv1_stride_t=1,
                                  pool1_stride_t=1))


def tower_config(name, **kwargs):
    arguments, _, channels, _ = FAMILIES[name]
    return dict(type='mmc2v.MMActionBackbone', in_channels=channels, embed_dim=64,
                backbone=dict(type=name, **{**arguments, **kwargs}))


def build(name, seed=0, **kwargs):
    torch.manual_seed(seed)
    tower = MODELS.build(tower_config(name, **kwargs))
    tower.init_weights()
    return tower


def clip(num_frames=8, num=2):
    torch.manual_seed(1)
    return torch.randn(num, num_frames, 3, 64, 64), torch.ones(num, num_frames).bool()


@pytest.mark.parametrize('name', FAMILIES)
def test_family_trains_under_tdb_and_tab(name):
    """Every parameter of the whole model gets a gradient, and time steps are kept."""
    model = MODELS.build(dict(
        type='mmc2v.CLIP2Video', backbone=tower_config(name),
        text_backbone=dict(type='mmc2v.CLIPTextTower', arch=ARCH),
        neck=NECKS['tdb-attention-differences'],
        head=dict(type='mmc2v.RetrievalHead', embed_dim=64, alignment=TAB))).train()
    frames, mask = clip(FAMILIES[name][1])
    losses = model.loss(dict(frames=frames, frame_mask=mask, tokens=batch(num=2)['tokens']))
    (losses['loss_global'] + losses['loss_aligned']).backward()
    assert not [key for key, value in model.named_parameters()
                if value.requires_grad and value.grad is None]
    tokens, token_mask = model.backbone(frames, mask)
    assert tokens.shape == (2, FAMILIES[name][3], 64)
    assert token_mask.all()


@pytest.mark.parametrize('name', ['TimeSformer', 'UniFormerV2', 'VisionTransformer', 'UniFormer',
                                  'SwinTransformer3D', 'MViT', 'ResNet3dSlowOnly'])
def test_tokens_stand_in_the_order_of_time(name):
    """A change of the first frames moves early tokens more, one of the last frames late ones."""
    tower = build(name).eval()
    frames, mask = clip()
    centers = []
    with torch.no_grad():
        tokens = tower(frames, mask)[0]
        place = torch.linspace(0, 1, tokens.shape[1])
        for changed in (slice(0, 2), slice(6, 8)):
            other = frames.clone()
            other[:, changed] = -other[:, changed]
            moved = (tower(other, mask)[0] - tokens).norm(dim=-1).mean(dim=0)
            centers.append(float((moved * place).sum() / moved.sum()))
    assert centers[0] + 0.1 < centers[1], centers


def test_space_only_attention_sees_frames_alone():
    tower = build('TimeSformer', attention_type='space_only').eval()
    frames, mask = clip()
    other = frames.clone()
    other[:, 3] += 1
    moved = (tower(other, mask)[0] - tower(frames, mask)[0]).norm(dim=-1)
    assert (moved[:, 3] > 0.01).all()
    assert (moved[:, [0, 1, 2, 4, 5, 6, 7]] < 1e-5).all()


def test_uniformerv2_with_one_frame_is_its_own_output():
    tower = build('UniFormerV2', t_size=1).eval()
    frames, mask = clip(1)
    torch.testing.assert_close(
        tower(frames, mask)[0][:, 0], tower.projection(tower.backbone(frames.transpose(1, 2))))


def test_uniformerv2_may_halve_time():
    tower = build('UniFormerV2', temporal_downsample=True).eval()
    assert tower.num_frames == 8
    assert tower(*clip())[0].shape == (2, 4, 64)
    with pytest.raises(ValueError, match='built for 8 frames, got 4'):
        tower(*clip(4))


@pytest.mark.parametrize(('path', 'steps', 'channels'), [(0, 4, 64), (1, 16, 8)])
def test_both_paths_of_slowfast(path, steps, channels):
    torch.manual_seed(0)
    tower = MODELS.build(dict(
        type='mmc2v.MMActionBackbone', in_channels=channels, embed_dim=64, out_index=path,
        backbone=dict(type='ResNet3dSlowFast', **{
            **SLOWFAST, 'speed_ratio': 4, 'slow_pathway': dict(SLOWFAST['slow_pathway'])})))
    tower.init_weights()
    frames, mask = clip(16)
    tokens, _ = tower.train()(frames, mask)
    assert tokens.shape == (2, steps, 64)
    tokens.square().sum().backward()
    assert not [key for key, value in tower.named_parameters() if value.grad is None]


@pytest.mark.parametrize('name', ['ResNet', 'MobileNetV2'])
def test_padding_has_no_influence_where_frames_are_seen_alone(name):
    """In training, where batch norm would mix padding into all frames."""
    frames, mask = clip()
    mask[0, 5:] = False
    outputs = []
    for value in (0.0, 100.0):
        padded = torch.where(mask[..., None, None, None], frames, torch.tensor(value))
        tokens, token_mask = build(name).train()(padded, mask)
        assert torch.equal(token_mask, mask)
        assert not tokens[~mask].any()
        outputs.append(tokens)
    assert torch.equal(*outputs)


@pytest.mark.parametrize('name', ['ResNetTSM', 'ResNet3d', 'UniFormerV2'])
def test_padding_is_refused_where_frames_are_mixed(name):
    frames, mask = clip()
    mask[1, 7] = False
    with pytest.raises(ValueError, match=r'videos \[1\].*SampleGridFrames\(fill=True\)'):
        build(name)(frames, mask)


def test_what_does_not_fit_is_refused():
    frames, mask = clip(4)
    for name in ('ResNetTSM', 'TimeSformer', 'UniFormerV2'):
        with pytest.raises(ValueError, match='built for 8 frames, got 4'):
            build(name)(frames, mask)
    config = dict(tower_config('ResNet'), in_channels=2048)
    with pytest.raises(ValueError, match='in_channels=2048, but ResNet gives 512'):
        MODELS.build(config)(frames, mask)
    with pytest.raises(ValueError, match="'NHWC'"):
        MODELS.build(dict(tower_config('ResNet'), input_format='NHWC'))


def test_a_backbone_of_ones_own_is_told_its_format():
    tower = MODELS.build(dict(type='mmc2v.MMActionBackbone', backbone=nn.Conv2d(3, 5, 8, 8),
                              in_channels=5, embed_dim=64, input_format='NCHW'))
    assert tower(*clip())[0].shape == (2, 8, 64)


@pytest.mark.parametrize('name', ['ResNetTSM', 'UniFormerV2', 'ResNet3d'])
def test_weights_of_a_recognizer_load_by_init_cfg(name, tmp_path):
    """As in MMAction2: a checkpoint of a whole recognizer, of which the backbone is taken."""
    class Recognizer(BaseModel):
        def __init__(self):
            super().__init__()
            self.backbone = build(name, seed=5).backbone
            self.cls_head = nn.Linear(2, 2)

        def forward(self):
            raise AssertionError

    source = Recognizer()
    torch.save(dict(state_dict=source.state_dict()), tmp_path / 'recognizer.pth')
    model = MODELS.build(dict(
        type='mmc2v.CLIP2Video',
        backbone=tower_config(name, init_cfg=dict(
            type='Pretrained', checkpoint=str(tmp_path / 'recognizer.pth'), prefix='backbone.')),
        text_backbone=dict(type='mmc2v.CLIPTextTower', arch=ARCH),
        neck=NECKS['mean'], head=dict(type='mmc2v.RetrievalHead', embed_dim=64)))
    random = model.init_weights()
    for key, value in source.backbone.state_dict().items():
        assert torch.equal(model.backbone.backbone.state_dict()[key], value), key
    assert 'backbone.projection.weight' in random
    assert 'text_backbone.token_embedding.weight' in random
    assert not [key for key in random if key.startswith('backbone.backbone.')]


def test_weights_that_do_not_fit_are_an_error_not_a_random_start(tmp_path):
    path = tmp_path / 'recognizer.pth'
    torch.save(dict(state_dict={'cls_head.fc_cls.weight': torch.zeros(2, 2)}), path)
    tower = MODELS.build(tower_config('ResNet', init_cfg=dict(
        type='Pretrained', checkpoint=str(path))))
    with pytest.raises(ValueError, match=r"nothing of .*fits ResNet.*cls_head.*'backbone\.'"):
        tower.init_weights()
