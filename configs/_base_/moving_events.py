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

train_cfg = dict(max_epochs=4, val_interval=4)
param_scheduler = [dict(
    type='mmc2v.WarmupCosineLR', by_epoch=False, warmup=1 / 4, start_factor=0.05,
    eta_min_ratio=0.01)]
default_hooks = dict(checkpoint=dict(max_keep_ckpts=1, save_best=None))
