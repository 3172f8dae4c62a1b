# CLIP2Video on DiDeMo, paragraph retrieval, which the authors have not evaluated.
# The recipe is reconstructed: docs/reproduce.md.
_base_ = [
    '_base_/default_runtime.py', '_base_/clip2video_vit-b32.py', '_base_/didemo.py',
    '_base_/schedule_5e.py',
]

model = dict(backbone=dict(grad_checkpointing=True))  # 1,024 frames a GPU
