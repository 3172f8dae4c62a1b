# Mean pooling of frame embeddings (CLIP4Clip meanP) on MSR-VTT 1k-A, 9k training list.
_base_ = 'clip2video_msrvtt.py'

model = dict(
    neck=dict(_delete_=True, type='mmc2v.MeanPooling'),
    head=dict(alignment=None))
