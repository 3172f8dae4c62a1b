# TDB and TAB on frozen features of the moving shapes. They are made by the image tower of another
# run: python tools/extract_features.py CONFIG CHECKPOINT --out data/moving_shapes/features
_base_ = ['clip2video_moving_shapes.py']

model = dict(
    backbone=dict(_delete_=True, type='mmc2v.FeatureProjection',
                  in_channels={{_base_.embed_dim}}, embed_dim={{_base_.embed_dim}}),
    data_preprocessor=dict(type='mmc2v.RetrievalDataPreprocessor', mean=None, std=None))

pipeline = [
    dict(type='mmc2v.LoadFeatures', num_frames={{_base_.num_frames}}),
    dict(type='mmc2v.Tokenize', max_words=32),
    dict(type='mmc2v.PackRetrievalInputs'),
]
dataset = dict(type='mmc2v.FeatureTextDataset', data_prefix=dict(video='features'),
               pipeline=pipeline)
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = val_dataloader
