# MMAction2's UniFormerV2, trained on Kinetics-400, as the video tower; the text tower is CLIP's.
_base_ = [
    '_base_/default_runtime.py', '_base_/clip2video_vit-b32.py', '_base_/msrvtt_filled.py',
    '_base_/schedule_5e.py',
]

num_frames = 12  # as the sampling
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
