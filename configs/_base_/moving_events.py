# Five kinds of captions on generated videos: towers, data and steps that all ablations share. Sizes
# are for one CPU core.
_base_ = ['default_runtime.py', 'moving_shapes.py']

data_root = 'data/moving_events'
missing_hint = 'Make them: python tools/dataset_converters/make_moving_shapes.py --events'
train_dataloader = dict(
    num_workers=1, dataset=dict(data_root=data_root, missing_hint=missing_hint))
val_dataloader = dict(
    num_workers=0, persistent_workers=False,
    dataset=dict(data_root=data_root, missing_hint=missing_hint, kind_file='test_kinds.json'))
test_dataloader = val_dataloader
val_evaluator = dict(type='mmc2v.RetrievalMetric', group_name='pair', by_kind=True)
test_evaluator = val_evaluator

# Text positions that weigh as much as words, so that 'A then B' can be told from 'B then A'.
model = dict(text_backbone=dict(position_std=0.03))

max_epochs = 4
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=True, begin=0, end=1,
         convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min_ratio=0.01, by_epoch=True, begin=1, end=max_epochs,
         T_max=max_epochs - 1, convert_to_iter_based=True),
]
default_hooks = dict(checkpoint=dict(max_keep_ckpts=1, save_best=None))
