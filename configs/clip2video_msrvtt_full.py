# CLIP2Video on MSR-VTT full: 6,513 / 497 / 2,990 videos, 20 captions each. The recipe is
# reconstructed: docs/reproduce.md.
_base_ = 'clip2video_msrvtt.py'

train_dataloader = dict(dataset=dict(ann_file='full/train.json'))
val_dataloader = dict(dataset=dict(ann_file='full/test.json'))
test_dataloader = val_dataloader
