# No time at all: the mean of frame embeddings.
_base_ = ['../_base_/moving_events.py']

model = dict(
    neck=dict(type='mmc2v.MeanPooling'),
    head=dict(type='mmc2v.RetrievalHead', embed_dim={{_base_.embed_dim}}))
