# The same transformer over frames and differences.
_base_ = ['../_base_/moving_events.py']

model = dict(
    neck=dict(
        type='mmc2v.TemporalDifferenceBlock',
        embed_dim={{_base_.embed_dim}}, num_layers=2, max_frames=32, num_heads=3,
        difference_encoder=dict(type='mmc2v.AttentionDifference')),
    head=dict(type='mmc2v.RetrievalHead', embed_dim={{_base_.embed_dim}}))
