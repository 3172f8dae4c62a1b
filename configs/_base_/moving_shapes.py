# Data, towers and schedule of the moving-shapes configs. Sizes are for two CPU cores.
num_frames = 8
image_size = 64
embed_dim = 96

data_root = 'data/moving_shapes'
missing_hint = 'Make them: python tools/dataset_converters/make_moving_shapes.py'
pipeline = [
    dict(type='mmc2v.OpenVideo'),
    dict(type='mmc2v.SampleGridFrames', num_frames=num_frames),
    dict(type='mmc2v.DecodeFrames'),
    dict(type='mmc2v.ResizeCenterCrop', size=image_size),
    dict(type='mmc2v.Tokenize', max_words=32),
    dict(type='mmc2v.PackRetrievalInputs'),
]
train_dataloader = dict(
    batch_size=64,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    # Several videos fit one description: each would be a false negative of the others.
    batch_sampler=dict(type='mmc2v.DistinctGroupBatchSampler'),
    dataset=dict(
        type='mmc2v.VideoTextDataset', data_root=data_root, ann_file='train.json',
        data_prefix=dict(video='train'), group_file='train_groups.json', pipeline=pipeline,
        missing_hint=missing_hint))
val_dataloader = dict(
    batch_size=64,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='mmc2v.VideoTextDataset', data_root=data_root, ann_file='test.json',
        data_prefix=dict(video='test'), group_file='test_groups.json', pipeline=pipeline,
        missing_hint=missing_hint, test_mode=True))
test_dataloader = val_dataloader
val_evaluator = dict(type='mmc2v.RetrievalMetric', group_name='pair')
test_evaluator = val_evaluator

arch = dict(
    embed_dim=embed_dim,
    vision_cfg=dict(image_size=image_size, patch_size=16, width=96, layers=3, head_width=32),
    text_cfg=dict(context_length=32, vocab_size=49408, width=96, heads=3, layers=2))
model = dict(
    type='mmc2v.CLIP2Video',
    backbone=dict(type='mmc2v.CLIPVisionTower', arch=arch, position_std=0.6),
    text_backbone=dict(type='mmc2v.CLIPTextTower', arch=arch))

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=8, val_interval=4)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, betas=(0.9, 0.98), weight_decay=0.05),
    constructor='mmc2v.RetrievalOptimWrapperConstructor',
    clip_grad=dict(max_norm=1.0))
param_scheduler = [dict(
    type='mmc2v.WarmupCosineLR', by_epoch=False, warmup=1 / 8, start_factor=0.05,
    eta_min_ratio=0.01)]
auto_scale_lr = dict(enable=False, base_batch_size=64)
