# TDB and TAB on features of frames that were extracted before; the text tower is CLIP's. The
# features of data/msrvtt/videos/video0.mp4 are in data/msrvtt/features/video0.npy, (T, 512).
_base_ = ['clip2video_msrvtt.py']

model = dict(
    backbone=dict(_delete_=True, type='mmc2v.FeatureProjection', in_channels=512, embed_dim=512),
    data_preprocessor=dict(type='mmc2v.RetrievalDataPreprocessor', mean=None, std=None))

pipeline = [
    dict(type='mmc2v.LoadFeatures', num_frames=12),
    dict(type='mmc2v.Tokenize', max_words=32),
    dict(type='mmc2v.PackRetrievalInputs'),
]
dataset = dict(type='mmc2v.FeatureTextDataset', data_prefix=dict(video='features'),
               pipeline=pipeline)
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = val_dataloader
optim_wrapper = dict(paramwise_cfg=dict(lr_mult={'backbone': 1.0}))
