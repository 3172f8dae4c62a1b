# Action recognition by parts of ours in MMAction2's Recognizer2D: CLIP's image tower, TDB as the
# neck, a stock head. Runs by MMAction2's own tools/train.py and tools/test.py, or by ours.
default_scope = 'mmaction'
custom_imports = dict(imports=['mmc2v'], allow_failed_imports=False)

num_frames = 8
arch = 'ViT-B-32-quickgelu'
pretrained = 'openai'
model = dict(
    type='Recognizer2D',
    backbone=dict(
        type='mmc2v.RecognizerBackbone', pretrained=pretrained,
        tower=dict(type='mmc2v.CLIPVisionTower', arch=arch)),
    neck=dict(
        type='mmc2v.RecognizerNeck', pretrained=pretrained, arch=arch, num_frames=num_frames,
        neck=dict(type='mmc2v.TemporalDifferenceBlock', embed_dim=512, num_layers=4)),
    cls_head=dict(type='TSNHead', num_classes=400, in_channels=512, dropout_ratio=0.4,
                  init_std=0.01, average_clips='prob'),
    data_preprocessor=dict(
        type='ActionDataPreprocessor', mean=[122.771, 116.746, 104.094],
        std=[68.500, 66.632, 70.323], format_shape='NCHW'))

train_pipeline = [
    dict(type='DecordInit'),
    dict(type='SampleFrames', clip_len=1, frame_interval=1, num_clips=num_frames),
    dict(type='DecordDecode'),
    dict(type='Resize', scale=(-1, 256)),
    dict(type='RandomResizedCrop'),
    dict(type='Resize', scale=(224, 224), keep_ratio=False),
    dict(type='Flip', flip_ratio=0.5),
    dict(type='FormatShape', input_format='NCHW'),
    dict(type='PackActionInputs'),
]
test_pipeline = [
    dict(type='DecordInit'),
    dict(type='SampleFrames', clip_len=1, frame_interval=1, num_clips=num_frames, test_mode=True),
    dict(type='DecordDecode'),
    dict(type='Resize', scale=(-1, 224)),
    dict(type='CenterCrop', crop_size=224),
    dict(type='FormatShape', input_format='NCHW'),
    dict(type='PackActionInputs'),
]
data_root = 'data/kinetics400'
train_dataloader = dict(
    batch_size=16,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='VideoDataset', ann_file=f'{data_root}/kinetics400_train_list_videos.txt',
        data_prefix=dict(video=f'{data_root}/videos_train'), pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=16,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='VideoDataset', ann_file=f'{data_root}/kinetics400_val_list_videos.txt',
        data_prefix=dict(video=f'{data_root}/videos_val'), pipeline=test_pipeline, test_mode=True))
test_dataloader = val_dataloader
val_evaluator = dict(type='AccMetric')
test_evaluator = val_evaluator

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=30, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='mmc2v.AutocastOptimWrapper',
    optimizer=dict(type='AdamW', lr=5e-4, betas=(0.9, 0.98), weight_decay=0.2),
    constructor='mmc2v.RetrievalOptimWrapperConstructor',
    paramwise_cfg=dict(lr_mult={'backbone': 0.01, 'neck': 0.1}),
    clip_grad=dict(max_norm=1.0))
param_scheduler = [dict(
    type='mmc2v.WarmupCosineLR', by_epoch=False, warmup=1 / 6, start_factor=0.01)]
auto_scale_lr = dict(enable=False, base_batch_size=128)

default_hooks = dict(
    runtime_info=dict(type='RuntimeInfoHook'),
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=20, ignore_last=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='mmc2v.AtomicCheckpointHook', interval=1, max_keep_ckpts=3,
                    save_best='auto'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    sync_buffers=dict(type='SyncBuffersHook'))
env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'))
log_processor = dict(type='LogProcessor', window_size=20, by_epoch=True)
visualizer = dict(type='ActionVisualizer', vis_backends=[dict(type='LocalVisBackend')])
log_level = 'INFO'
load_from = None
resume = False
