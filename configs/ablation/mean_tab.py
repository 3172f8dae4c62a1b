# No time either: TAB sees the frames as a set.
_base_ = ['../_base_/moving_events.py']

model = dict(
    neck=dict(type='mmc2v.MeanPooling'),
    head=dict(
        type='mmc2v.RetrievalHead', embed_dim={{_base_.embed_dim}},
        alignment=dict(type='mmc2v.TemporalAlignmentBlock', num_centers=5)))
