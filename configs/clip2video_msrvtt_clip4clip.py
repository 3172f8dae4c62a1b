# CLIP2Video on MSR-VTT 1k-A with the 9k training list, by CLIP4Clip's own recipe, as far as float32
# weights allow: docs/reproduce.md says what differs from clip2video_msrvtt.py, and from theirs.
_base_ = [
    '_base_/default_runtime.py', '_base_/clip2video_vit-b32.py', '_base_/msrvtt.py',
    '_base_/schedule_clip4clip.py',
]

model = dict(backbone=dict(freeze_layer_num=0), text_backbone=dict(freeze_layer_num=0))
