# ActivityNet Captions: training, and val_1 as test set.
_base_ = ['paragraph.py']

missing_hint = (
    'Prepare it: python tools/dataset_converters/activitynet.py --annotations OFFICIAL_FILES '
    '--videos data/activitynet/videos --protocol paragraph --out data/activitynet/paragraph')
data = dict(data_root='data/activitynet', missing_hint=missing_hint)
train_dataloader = dict(dataset=dict(data, ann_file='paragraph/train.json'))
val_dataloader = dict(dataset=dict(data, ann_file='paragraph/test.json'))
test_dataloader = val_dataloader
