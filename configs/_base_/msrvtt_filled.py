# MSR-VTT for backbones that mix frames and cannot leave padding out: short videos are filled.
_base_ = ['msrvtt.py']

frames_to_inputs = [
    dict(type='mmc2v.DecodeFrames'),
    dict(type='mmc2v.ResizeCenterCrop', size=224),
    dict(type='mmc2v.Tokenize', max_words=32),
    dict(type='mmc2v.PackRetrievalInputs'),
]
sampling = dict(type='mmc2v.SampleGridFrames', num_frames=12, divisor=2, fill=True)
train_pipeline = [dict(type='mmc2v.OpenVideo', tolerant=True), dict(sampling, jitter=True),
                  *frames_to_inputs]
test_pipeline = [dict(type='mmc2v.OpenVideo'), sampling, *frames_to_inputs]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
