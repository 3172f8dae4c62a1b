# CLIP2Video on your own videos and captions: docs/own_data.md. Unlike the configs of published
# data sets, this one validates on validation videos.
_base_ = [
    '_base_/default_runtime.py', '_base_/clip2video_vit-b32.py', '_base_/custom.py',
    '_base_/schedule_5e.py',
]
