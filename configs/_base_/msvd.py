# MSVD: 1,200 / 100 / 670 videos, about 40 captions each, all used in test.
_base_ = ['video_text.py']

missing_hint = (
    'Prepare it: python tools/dataset_converters/msvd.py --annotations OFFICIAL_FILES '
    '--videos data/msvd/videos --protocol standard --out data/msvd/standard')
data = dict(data_root='data/msvd', missing_hint=missing_hint)
train_dataloader = dict(dataset=dict(data, ann_file='standard/train.json'))
val_dataloader = dict(dataset=dict(data, ann_file='standard/test.json'))
test_dataloader = val_dataloader
