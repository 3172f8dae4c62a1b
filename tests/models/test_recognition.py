"""Our tower and neck in MMAction2's own recognizer and head."""
import pytest
import torch
from mmaction.structures import ActionDataSample
from mmengine.registry import DefaultScope

from mmc2v.registry import MODELS

from ..tiny import ARCH, NECKS, build_model, model_config


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('mmaction'):
        yield


def config(num_frames=None, neck='tdb-attention-none', **tower):
    return dict(
        type='Recognizer2D',
        backbone=dict(type='mmc2v.RecognizerBackbone',
                      tower=dict(type='mmc2v.CLIPVisionTower', arch=ARCH, **tower)),
        neck=dict(type='mmc2v.RecognizerNeck', neck=NECKS[neck], num_frames=num_frames),
        cls_head=dict(type='TSNHead', num_classes=3, in_channels=64, dropout_ratio=0,
                      average_clips='prob', topk=(1,)),
        data_preprocessor=dict(type='ActionDataPreprocessor', mean=[123.0] * 3, std=[68.0] * 3,
                               format_shape='NCHW'))


def samples(num=2):
    return [ActionDataSample().set_gt_label(i) for i in range(num)]


def test_every_parameter_learns_and_order_counts():
    model = MODELS.build(config()).train()
    inputs = torch.randn(2, 5, 3, 32, 32)
    losses = model(inputs, samples(), mode='loss')
    losses['loss_cls'].backward()
    assert not [name for name, value in model.named_parameters() if value.grad is None]
    with torch.no_grad():
        forward, backward = (
            torch.stack([own.pred_score for own in model.eval()(frames, samples(), mode='predict')])
            for frames in (inputs, inputs.flip(1).contiguous()))
    assert (forward - backward).abs().max() > 1e-5


def test_several_views_are_averaged_and_do_not_mix():
    model = MODELS.build(config(num_frames=4)).eval()
    views = torch.randn(2, 3, 4, 3, 32, 32)
    with torch.no_grad():
        together = model(views.flatten(1, 2), samples(), mode='predict')
        alone = [model(views[:, view].contiguous(), samples(), mode='predict')
                 for view in range(3)]
    for index, sample in enumerate(together):
        expected = torch.stack([own[index].pred_score for own in alone]).mean(dim=0)
        torch.testing.assert_close(sample.pred_score, expected)
    with pytest.raises(ValueError, match='5 frames are no multiple of num_frames=4'):
        model(torch.randn(1, 5, 3, 32, 32), samples(1), mode='predict')


def test_a_local_branch_is_refused():
    with pytest.raises(ValueError, match='remove local_branch'):
        MODELS.build(config(neck='tdb-attention-differences'))


def test_both_start_from_clip(tmp_path):
    import open_clip
    torch.manual_seed(3)
    clip = open_clip.CLIP(**ARCH).state_dict()
    torch.save(clip, tmp_path / 'clip.pt')
    wanted = config()
    wanted['backbone']['pretrained'] = wanted['neck']['pretrained'] = str(tmp_path / 'clip.pt')
    wanted['neck']['arch'] = ARCH
    model = MODELS.build(wanted)
    model.init_weights()
    assert torch.equal(model.backbone.tower.visual.conv1.weight, clip['visual.conv1.weight'])
    assert torch.equal(model.neck.neck.transformer.resblocks[0].mlp.c_fc.weight,
                       clip['transformer.resblocks.0.mlp.c_fc.weight'])
    assert torch.equal(model.neck.neck.position_embedding.weight, clip['positional_embedding'][:32])


def test_the_tower_of_a_retrieval_checkpoint_loads_by_prefix_and_back(tmp_path):
    """From retrieval to recognition and from there to retrieval again."""
    retrieval = build_model(seed=7)
    torch.save(dict(state_dict=retrieval.state_dict()), tmp_path / 'retrieval.pth')
    recognizer = MODELS.build(config(init_cfg=dict(
        type='Pretrained', checkpoint=str(tmp_path / 'retrieval.pth'), prefix='backbone.')))
    recognizer.init_weights()
    for name, value in retrieval.backbone.state_dict().items():
        assert torch.equal(recognizer.backbone.tower.state_dict()[name], value), name
    torch.save(dict(state_dict=recognizer.state_dict()), tmp_path / 'recognizer.pth')
    again = build_model(seed=8)
    again.backbone.init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'recognizer.pth'),
                                   prefix='backbone.tower.')
    random = again.init_weights()
    assert torch.equal(again.backbone.visual.conv1.weight, retrieval.backbone.visual.conv1.weight)
    assert 'backbone.visual.conv1.weight' not in random


def test_a_checkpoint_in_init_cfg_has_precedence_over_clip(tmp_path):
    """Both of our configs name CLIP weights; what a tower is told to load must survive them."""
    import open_clip
    torch.save(open_clip.CLIP(**ARCH).state_dict(), tmp_path / 'clip.pt')
    own = build_model(seed=7)
    torch.save(dict(state_dict=own.state_dict()), tmp_path / 'retrieval.pth')
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'retrieval.pth'),
                    prefix='backbone.')
    wanted = config(init_cfg=init_cfg)
    wanted['backbone']['pretrained'] = str(tmp_path / 'clip.pt')
    recognizer = MODELS.build(wanted)
    recognizer.init_weights()
    again = MODELS.build(model_config(pretrained=str(tmp_path / 'clip.pt')))
    again.backbone.init_cfg = init_cfg
    random = again.init_weights()
    for tower in (recognizer.backbone.tower, again.backbone):
        assert torch.equal(tower.visual.conv1.weight, own.backbone.visual.conv1.weight)
    assert torch.equal(again.text_backbone.text_projection,
                       torch.load(tmp_path / 'clip.pt')['text_projection'])
    assert random == ['head.alignment.weight_center', 'head.alignment.emb_center']
