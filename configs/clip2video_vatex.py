# CLIP2Video on VATEX with 7 centres, as published. The recipe is reconstructed: docs/reproduce.md.
_base_ = [
    '_base_/default_runtime.py', '_base_/clip2video_vit-b32.py', '_base_/vatex.py',
    '_base_/schedule_5e.py',
]

model = dict(head=dict(alignment=dict(num_centers=7)))
