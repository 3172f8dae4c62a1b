# MMAction2's UniFormerV2, trained on Kinetics-400, as the video tower; the text tower is CLIP's.
_base_ = ['clip2video_msrvtt.py']

num_frames = 12
num_layers = 12
checkpoint = (
    'https://download.openmmlab.com/mmaction/v1.0/recognition/uniformerv2/'
    'uniformerv2-base-p16-res224_clip_8xb32-u8_kinetics400-rgb/'
    'uniformerv2-base-p16-res224_clip_8xb32-u8_kinetics400-rgb_20230313-e29fc968.pth')
model = dict(
    backbone=dict(
        _delete_=True, type='mmc2v.MMActionBackbone', in_channels=768, embed_dim=512,
        backbone=dict(
            type='UniFormerV2', input_resolution=224, patch_size=16, width=768, layers=num_layers,
            heads=12, t_size=num_frames, dw_reduction=1.5, temporal_downsample=False, no_lmhra=True,
            double_lmhra=True, return_list=[8, 9, 10, 11], n_layers=4, n_dim=768, n_head=12,
            mlp_factor=4., mlp_dropout=[0.5, 0.5, 0.5, 0.5], clip_pretrained=False,
            init_cfg=dict(type='Pretrained', checkpoint=checkpoint, prefix='backbone.'))),
    # as in its training
    data_preprocessor=dict(
        type='mmc2v.RetrievalDataPreprocessor', mean=[114.75, 114.75, 114.75],
        std=[57.375, 57.375, 57.375]))

# UniFormerV2 mixes frames and cannot leave padding out, so short videos are filled.
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

# Layer-wise rates: the lower the block, the slower; what is new trains at the full rate.
tower = 'backbone.backbone.'
optim_wrapper = dict(paramwise_cfg=dict(lr_mult={
    tower: 0.1,
    **{f'{tower}{name}': 0.1 * 0.75 ** num_layers
       for name in ('conv1', 'class_embedding', 'positional_embedding', 'ln_pre')},
    **{f'{tower}transformer.resblocks.{layer}.': 0.1 * 0.75 ** (num_layers - 1 - layer)
       for layer in range(num_layers)},
    'backbone.projection': 1.0,
}))
