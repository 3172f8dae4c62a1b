# CLIP2Video on MSR-VTT 1k-A with the 7k training list.
# The recipe is reconstructed: docs/reproduce.md.
_base_ = 'clip2video_msrvtt.py'

train_dataloader = dict(dataset=dict(ann_file='1k-A-7k/train.json'))
val_dataloader = dict(dataset=dict(ann_file='1k-A-7k/test.json'))
test_dataloader = val_dataloader
