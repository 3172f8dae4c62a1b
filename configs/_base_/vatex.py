# VATEX in English, HGR's split: 25,991 / 1,500 / 1,500 videos, 10 captions each.
_base_ = ['video_text.py']

missing_hint = (
    'Prepare it: python tools/dataset_converters/vatex.py --annotations OFFICIAL_FILES '
    '--videos data/vatex/videos --protocol hgr --out data/vatex/hgr')
data = dict(data_root='data/vatex', missing_hint=missing_hint)
train_dataloader = dict(dataset=dict(data, ann_file='hgr/train.json'))
val_dataloader = dict(dataset=dict(data, ann_file='hgr/test.json'))
test_dataloader = val_dataloader
