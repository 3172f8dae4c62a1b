# Loaders and pipelines of video-text retrieval: 12 frames, 32 tokens. Annotations are those that
# tools/dataset_converters write. A data set adds its data_root, annotations and missing_hint.
image_size = 224
open_video = dict(type='mmc2v.OpenVideo')  # strict: damage is an error
open_damaged_video = dict(type='mmc2v.OpenVideo', tolerant=True)  # or filled, and reported
frames_to_inputs = [
    dict(type='mmc2v.DecodeFrames'),
    dict(type='mmc2v.ResizeCenterCrop', size=image_size),
    dict(type='mmc2v.Tokenize', max_words=32),
    dict(type='mmc2v.PackRetrievalInputs'),
]
sampling = dict(type='mmc2v.SampleGridFrames', num_frames=12)
train_pipeline = [open_damaged_video, dict(sampling, jitter=True), *frames_to_inputs]
test_pipeline = [open_video, sampling, *frames_to_inputs]

train_dataloader = dict(
    batch_size=16,  # on 8 GPUs: the total of 128 is part of the recipe
    num_workers=8,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='mmc2v.VideoTextDataset', ann_file='train.json', data_prefix=dict(video='videos'),
        pipeline=train_pipeline))
# Validation is on the test set, as in the literature; after training the log names the best epoch
# on it and the last one. Where there is a validation set, val_dataloader.dataset.ann_file can
# name it instead.
val_dataloader = dict(
    batch_size=32,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='mmc2v.VideoTextDataset', ann_file='test.json', data_prefix=dict(video='videos'),
        pipeline=test_pipeline, test_mode=True))
test_dataloader = val_dataloader
val_evaluator = dict(type='mmc2v.RetrievalMetric')
test_evaluator = val_evaluator
