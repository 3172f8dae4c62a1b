# LSMDC: 1,000 test clips with one caption each.
_base_ = ['video_text.py']

missing_hint = (
    'Prepare it: python tools/dataset_converters/lsmdc.py --annotations OFFICIAL_FILES '
    '--videos data/lsmdc/videos --protocol 1k --out data/lsmdc/1k')
data = dict(data_root='data/lsmdc', missing_hint=missing_hint)
train_dataloader = dict(dataset=dict(data, ann_file='1k/train.json'))
val_dataloader = dict(dataset=dict(data, ann_file='1k/test.json'))
test_dataloader = val_dataloader
