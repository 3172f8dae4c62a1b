# Paragraph retrieval: 64 frames and 64 tokens, all sentences of a video joined.
_base_ = ['video_text.py']

frames_to_inputs = [
    dict(type='mmc2v.DecodeFrames'),
    dict(type='mmc2v.ResizeCenterCrop', size=224),
    dict(type='mmc2v.Tokenize', max_words=64),
    dict(type='mmc2v.PackRetrievalInputs'),
]
sampling = dict(type='mmc2v.SampleGridFrames', num_frames=64)
train_pipeline = [_base_.open_damaged_video, dict(sampling, jitter=True), *frames_to_inputs]
test_pipeline = [_base_.open_video, sampling, *frames_to_inputs]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(batch_size=8, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
