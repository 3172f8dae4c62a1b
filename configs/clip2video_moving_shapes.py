# A tiny CLIP2Video from scratch, with the full TDB and TAB.
_base_ = ['_base_/default_runtime.py', '_base_/moving_shapes.py']

model = dict(
    neck=dict(
        type='mmc2v.TemporalDifferenceBlock',
        embed_dim={{_base_.embed_dim}}, num_layers=2, max_frames=32, num_heads=3,
        difference_encoder=dict(type='mmc2v.AttentionDifference'),
        local_branch=dict(type='mmc2v.DifferenceLocalBranch')),
    head=dict(
        type='mmc2v.RetrievalHead', embed_dim={{_base_.embed_dim}}, global_weight=0.5,
        alignment=dict(type='mmc2v.TemporalAlignmentBlock', num_centers=5)))
