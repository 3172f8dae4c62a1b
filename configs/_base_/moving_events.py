# Five kinds of captions on generated videos: towers, data and steps that all ablations share. Sizes
# are for one CPU core: no worker beside the training, and frames stay in memory (0.4 GB).
_base_ = ['default_runtime.py', 'moving_shapes.py']

data_root = 'data/moving_events'
missing_hint = 'Make them: python tools/dataset_converters/make_moving_shapes.py --events'
pipeline = [
    dict(type='mmc2v.OpenVideo', keep_gb=1.0),
    dict(type='mmc2v.SampleGridFrames', num_frames=8),
    dict(type='mmc2v.DecodeFrames'),
    dict(type='mmc2v.ResizeCenterCrop', size=64),
    dict(type='mmc2v.Tokenize', max_words=32),
    dict(type='mmc2v.PackRetrievalInputs'),
]
train_dataloader = dict(
    num_workers=0, persistent_workers=False,
    # Twins in one batch, and all directions: by chance 1 video in 27 would meet its twin there, and
    # nothing else asks for the order of frames.
    batch_sampler=dict(hard_negatives=True),
    dataset=dict(data_root=data_root, missing_hint=missing_hint, rival_file='train_rivals.json',
                 pipeline=pipeline))
val_dataloader = dict(
    num_workers=0, persistent_workers=False,
    dataset=dict(data_root=data_root, missing_hint=missing_hint, kind_file='test_kinds.json',
                 pipeline=pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='mmc2v.RetrievalMetric', group_name='pair', by_kind=True)
test_evaluator = val_evaluator

# A text block for each temporal block of the largest neck, which starts from them as the authors'
# does. Text positions that weigh as much as words, so that 'A then B' can be told from 'B then A'.
arch = dict(text_cfg=dict(layers=3))
model = dict(backbone=dict(arch=arch), text_backbone=dict(arch=arch, position_std=0.03))

train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=360, val_interval=40)
optim_wrapper = dict(optimizer=dict(lr=5e-4))
param_scheduler = [dict(
    type='mmc2v.WarmupCosineLR', by_epoch=False, warmup=1 / 10, start_factor=0.05,
    eta_min_ratio=0.01)]
default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=100, max_keep_ckpts=1, save_best=None))
log_processor = dict(by_epoch=False)
