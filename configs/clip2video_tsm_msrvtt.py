# MMAction2's TSM, trained on Kinetics-400, as the video tower; the text tower is CLIP's.
_base_ = ['clip2video_msrvtt.py']

num_frames = 12
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

# TSM shifts channels between frames and cannot leave padding out, so short videos are filled.
frames_to_inputs = [
    dict(type='mmc2v.DecodeFrames'),
    dict(type='mmc2v.ResizeCenterCrop', size=224),
    dict(type='mmc2v.Tokenize', max_words=32),
    dict(type='mmc2v.PackRetrievalInputs'),
]
sampling = dict(type='mmc2v.SampleGridFrames', num_frames=num_frames, divisor=2, fill=True)
train_pipeline = [dict(type='mmc2v.OpenVideo', tolerant=True), dict(sampling, jitter=True),
                  *frames_to_inputs]
test_pipeline = [dict(type='mmc2v.OpenVideo'), sampling, *frames_to_inputs]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

# Layer-wise rates: the lower the stage, the slower; what is new trains at the full rate.
tower = 'backbone.backbone.'
optim_wrapper = dict(paramwise_cfg=dict(lr_mult={
    tower: 0.1 * 0.5 ** 4,
    **{f'{tower}layer{stage}.': 0.1 * 0.5 ** (4 - stage) for stage in range(1, 5)},
    'backbone.projection': 1.0,
}))
