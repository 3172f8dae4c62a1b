# DiDeMo: 8,392 / 1,065 / 1,004 videos.
_base_ = ['paragraph.py']

missing_hint = (
    'Prepare it: python tools/dataset_converters/didemo.py --annotations OFFICIAL_FILES '
    '--videos data/didemo/videos --protocol paragraph --out data/didemo/paragraph')
# Descriptions are of the first 30 seconds; CLIP4Clip takes 31.
sampling = dict(type='mmc2v.SampleGridFrames', num_frames=64, max_duration=31)
train_pipeline = [_base_.open_damaged_video, dict(sampling, jitter=True), *_base_.frames_to_inputs]
test_pipeline = [_base_.open_video, sampling, *_base_.frames_to_inputs]
data = dict(data_root='data/didemo', missing_hint=missing_hint)
train_dataloader = dict(dataset=dict(data, ann_file='paragraph/train.json',
                                     pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data, ann_file='paragraph/test.json', pipeline=test_pipeline))
test_dataloader = val_dataloader
