# CLIP2Video trained on batches in which twins meet by chance alone, as elsewhere.
_base_ = ['full.py']

train_dataloader = dict(batch_sampler=dict(hard_negatives=False))
