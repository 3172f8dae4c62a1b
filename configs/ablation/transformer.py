# A transformer over frames with positions, and as many blocks as TDB has in all.
_base_ = ['../_base_/moving_events.py']

model = dict(
    neck=dict(type='mmc2v.TemporalTransformer', embed_dim={{_base_.embed_dim}}, num_layers=3,
              max_frames=32, num_heads=3),
    head=dict(type='mmc2v.RetrievalHead', embed_dim={{_base_.embed_dim}}))
