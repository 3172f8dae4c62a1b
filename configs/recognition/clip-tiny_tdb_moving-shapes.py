# The same with a tiny tower from scratch: which of four directions a shape moves. Without time two
# classes look alike, and top-1 accuracy is 50 % at most.
# Data: python tools/dataset_converters/make_moving_shapes.py
_base_ = ['clip-vit-b32_tdb_k400.py']

num_frames = 8
image_size = 64
embed_dim = 96
tiny_arch = dict(
    embed_dim=embed_dim,
    vision_cfg=dict(image_size=image_size, patch_size=16, width=96, layers=3, head_width=32),
    text_cfg=dict(context_length=8, vocab_size=8, width=96, heads=3, layers=1))
model = dict(
    backbone=dict(
        pretrained=None,
        tower=dict(_delete_=True, type='mmc2v.CLIPVisionTower', arch=tiny_arch, position_std=0.6)),
    neck=dict(
        pretrained=None, arch=None, num_frames=num_frames,
        neck=dict(embed_dim=embed_dim, num_layers=2, max_frames=32, num_heads=3)),
    cls_head=dict(num_classes=4, in_channels=embed_dim, dropout_ratio=0, topk=(1,)))

sampling = dict(type='SampleFrames', clip_len=1, frame_interval=1, num_clips=num_frames)
frames_to_inputs = [
    dict(type='DecordDecode'),
    dict(type='Resize', scale=(image_size, image_size), keep_ratio=False),
    dict(type='FormatShape', input_format='NCHW'),
    dict(type='PackActionInputs'),
]
train_pipeline = [dict(type='DecordInit'), sampling, *frames_to_inputs]
test_pipeline = [dict(type='DecordInit'), dict(sampling, test_mode=True), *frames_to_inputs]
data_root = 'data/moving_shapes'
train_dataloader = dict(
    batch_size=64, num_workers=2,
    dataset=dict(ann_file=f'{data_root}/train.txt', data_prefix=dict(video=f'{data_root}/train'),
                 pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=64, num_workers=2,
    dataset=dict(ann_file=f'{data_root}/test.txt', data_prefix=dict(video=f'{data_root}/test'),
                 pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(metric_list=('top_k_accuracy',), metric_options=dict(
    top_k_accuracy=dict(topk=(1,))))
test_evaluator = val_evaluator

train_cfg = dict(max_epochs=6, val_interval=2)
optim_wrapper = dict(
    _delete_=True, type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, betas=(0.9, 0.98), weight_decay=0.05),
    constructor='mmc2v.RetrievalOptimWrapperConstructor',
    clip_grad=dict(max_norm=1.0))
param_scheduler = [dict(
    type='mmc2v.WarmupCosineLR', by_epoch=False, warmup=1 / 6, start_factor=0.05,
    eta_min_ratio=0.01)]
auto_scale_lr = dict(enable=False, base_batch_size=64)
