# MSR-VTT, protocol 1k-A with the 9k training list. As published, every second frame of the 5 fps
# grid is a candidate.
_base_ = ['video_text.py']

missing_hint = (
    'Prepare it: python tools/dataset_converters/msrvtt.py --annotations OFFICIAL_FILES --videos '
    'data/msrvtt/videos --protocol 1k-A-9k --out data/msrvtt/1k-A-9k')
sampling = dict(type='mmc2v.SampleGridFrames', num_frames=12, divisor=2)
train_pipeline = [_base_.open_damaged_video, dict(sampling, jitter=True), *_base_.frames_to_inputs]
test_pipeline = [_base_.open_video, sampling, *_base_.frames_to_inputs]
train_dataloader = dict(dataset=dict(
    data_root='data/msrvtt', ann_file='1k-A-9k/train.json', missing_hint=missing_hint,
    pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(
    data_root='data/msrvtt', ann_file='1k-A-9k/test.json', missing_hint=missing_hint,
    pipeline=test_pipeline))
test_dataloader = val_dataloader
