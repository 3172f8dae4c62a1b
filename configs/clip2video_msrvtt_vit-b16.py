# CLIP2Video with ViT-B/16 on MSR-VTT 1k-A, 9k training list.
# The recipe is reconstructed: docs/reproduce.md.
_base_ = 'clip2video_msrvtt.py'

arch = 'ViT-B-16-quickgelu'
model = dict(backbone=dict(arch=arch), text_backbone=dict(arch=arch))
