# PE-Core-B/16 in the place of CLIP; its text blocks start the temporal ones, as CLIP's do.
_base_ = ['clip2video_msrvtt.py']

arch = 'PE-Core-B-16'
embed_dim = 1024
model = dict(
    pretrained='meta',
    backbone=dict(arch=arch),
    text_backbone=dict(arch=arch),
    neck=dict(embed_dim=embed_dim, max_frames=32),  # it has 32 text positions
    head=dict(embed_dim=embed_dim),
    data_preprocessor=dict(
        type='mmc2v.RetrievalDataPreprocessor', mean=[127.5, 127.5, 127.5],
        std=[127.5, 127.5, 127.5]))

frames_to_inputs = [
    dict(type='mmc2v.DecodeFrames'),
    dict(type='mmc2v.ResizeCenterCrop', size=224, interpolation='bilinear', keep_ratio=False),
    dict(type='mmc2v.Tokenize', max_words=32, arch=arch),
    dict(type='mmc2v.PackRetrievalInputs'),
]
sampling = dict(type='mmc2v.SampleGridFrames', num_frames=12, divisor=2)
train_pipeline = [dict(type='mmc2v.OpenVideo', tolerant=True), dict(sampling, jitter=True),
                  *frames_to_inputs]
test_pipeline = [dict(type='mmc2v.OpenVideo'), sampling, *frames_to_inputs]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
