# CLIP in miniature, from which the variants start: towers that have seen one frame of each video
# at a time, so they know what things look like and nothing of time.
_base_ = ['mean.py']

pipeline = [
    dict(type='mmc2v.OpenVideo', keep_gb=1.0),
    dict(type='mmaction.SampleFrames', clip_len=1),  # another frame of it each time
    dict(type='mmc2v.DecodeFrames'),
    dict(type='mmc2v.ResizeCenterCrop', size=64),
    dict(type='mmc2v.Tokenize', max_words=32),
    dict(type='mmc2v.PackRetrievalInputs'),
]
train_dataloader = dict(
    batch_size=128, batch_sampler=dict(hard_negatives=False), dataset=dict(pipeline=pipeline))
train_cfg = dict(max_iters=1500, val_interval=1500)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
