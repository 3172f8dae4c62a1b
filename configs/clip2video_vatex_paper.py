# CLIP2Video on VATEX with the paper's own test list instead of HGR's.
# The recipe is reconstructed: docs/reproduce.md.
_base_ = 'clip2video_vatex.py'

train_dataloader = dict(dataset=dict(ann_file='paper/train.json'))
val_dataloader = dict(dataset=dict(ann_file='paper/test.json'))
test_dataloader = val_dataloader
