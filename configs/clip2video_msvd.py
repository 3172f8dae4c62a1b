# CLIP2Video on MSVD. The recipe is reconstructed: docs/reproduce.md.
_base_ = [
    '_base_/default_runtime.py', '_base_/clip2video_vit-b32.py', '_base_/msvd.py',
    '_base_/schedule_5e.py',
]
