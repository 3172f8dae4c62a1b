# MMAction2's TSM, trained on Kinetics-400, as the video tower; the text tower is CLIP's.
_base_ = [
    '_base_/default_runtime.py', '_base_/clip2video_vit-b32.py', '_base_/msrvtt_filled.py',
    '_base_/schedule_5e.py',
]

num_frames = 12  # as the sampling
checkpoint = (
    'https://download.openmmlab.com/mmaction/v1.0/recognition/tsm/'
    'tsm_imagenet-pretrained-r50_8xb16-1x1x8-50e_kinetics400-rgb/'
    'tsm_imagenet-pretrained-r50_8xb16-1x1x8-50e_kinetics400-rgb_20220831-64d69186.pth')
model = dict(
    backbone=dict(
        _delete_=True, type='mmc2v.MMActionBackbone', in_channels=2048, embed_dim=512,
        backbone=dict(
            type='ResNetTSM', depth=50, num_segments=num_frames, shift_div=8, norm_eval=True,
            pretrained2d=False,
            init_cfg=dict(type='Pretrained', checkpoint=checkpoint, prefix='backbone.'))),
    # as in its training
    data_preprocessor=dict(
        type='mmc2v.RetrievalDataPreprocessor', mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375]))

# Layer-wise rates: the lower the stage, the slower; what is new trains at the full rate.
tower = 'backbone.backbone.'
optim_wrapper = dict(paramwise_cfg=dict(lr_mult={
    tower: 0.1 * 0.5 ** 4,
    **{f'{tower}layer{stage}.': 0.1 * 0.5 ** (4 - stage) for stage in range(1, 5)},
    'backbone.projection': 1.0,
}))
