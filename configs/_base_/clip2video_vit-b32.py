# CLIP2Video on ViT-B/32 with OpenAI's weights: the paper's model.
embed_dim = 512
arch = 'ViT-B-32-quickgelu'  # OpenAI's weights were trained with QuickGELU

model = dict(
    type='mmc2v.CLIP2Video',
    pretrained='openai',
    backbone=dict(type='mmc2v.CLIPVisionTower', arch=arch),
    text_backbone=dict(type='mmc2v.CLIPTextTower', arch=arch),
    neck=dict(
        type='mmc2v.TemporalDifferenceBlock',
        embed_dim=embed_dim, num_layers=4, max_frames=77,
        difference_encoder=dict(type='mmc2v.AttentionDifference'),
        local_branch=dict(type='mmc2v.DifferenceLocalBranch')),
    head=dict(
        type='mmc2v.RetrievalHead', embed_dim=embed_dim, global_weight=0.5,
        alignment=dict(type='mmc2v.TemporalAlignmentBlock', num_centers=5)))
