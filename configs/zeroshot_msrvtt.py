# PE-Core-B/16 with mean pooling and no training: python tools/test.py configs/zeroshot_msrvtt.py
_base_ = ['clip2video_pe-core-b16_msrvtt.py']

model = dict(
    neck=dict(_delete_=True, type='mmc2v.MeanPooling'),
    head=dict(_delete_=True, type='mmc2v.RetrievalHead', embed_dim={{_base_.embed_dim}}))
