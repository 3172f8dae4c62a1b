# CLIP2Video with ViT-L/14 on MSR-VTT 1k-A, 9k training list.
# The recipe is reconstructed: docs/reproduce.md.
_base_ = 'clip2video_msrvtt.py'

arch = 'ViT-L-14-quickgelu'
embed_dim = 768
model = dict(
    backbone=dict(arch=arch, grad_checkpointing=True), text_backbone=dict(arch=arch),
    neck=dict(embed_dim=embed_dim), head=dict(embed_dim=embed_dim))
