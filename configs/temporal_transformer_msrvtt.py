# A transformer over frames (CLIP4Clip seqTransf) on MSR-VTT 1k-A, 9k training list.
_base_ = 'clip2video_msrvtt.py'

model = dict(
    neck=dict(_delete_=True, type='mmc2v.TemporalTransformer', embed_dim={{_base_.embed_dim}},
              num_layers=4, max_frames=77),
    head=dict(alignment=None))
