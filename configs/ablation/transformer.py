# A transformer over frames with positions.
_base_ = ['../_base_/moving_events.py']

model = dict(
    neck=dict(type='mmc2v.TemporalTransformer', embed_dim={{_base_.embed_dim}}, num_layers=2,
              max_frames=32, num_heads=3),
    head=dict(type='mmc2v.RetrievalHead', embed_dim={{_base_.embed_dim}}))
