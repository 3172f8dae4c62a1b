# Your own videos and captions, as tools/dataset_converters/custom.py prepares them.
_base_ = ['video_text.py']

missing_hint = (
    'Prepare it: python tools/dataset_converters/custom.py --captions FILE --videos '
    'data/custom/videos --out data/custom. Where the file has no validation videos: --cfg-options '
    'val_dataloader.dataset.ann_file=test.json')
data = dict(data_root='data/custom', missing_hint=missing_hint)
train_dataloader = dict(dataset=dict(data, ann_file='train.json'))
val_dataloader = dict(dataset=dict(data, ann_file='val.json'))
test_dataloader = dict(dataset=dict(data, ann_file='test.json'))
