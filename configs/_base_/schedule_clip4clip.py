# CLIP4Clip's recipe, as its code has it (main_task_retrieval.py and modules/optimization.py of
# github.com/ArrowLuo/CLIP4Clip), in the place of schedule_5e.py. Whether CLIP2Video's authors
# trained by it is not known. docs/reproduce.md has a table of what differs between the two.
# CLIP4Clip also freezes CLIP's embeddings, which is a setting of the towers:
#     model = dict(backbone=dict(freeze_layer_num=0), text_backbone=dict(freeze_layer_num=0))
_base_ = ['schedule_5e.py']

optim_wrapper = dict(
    optimizer=dict(
        _delete_=True, type='mmc2v.BertAdam', lr=1e-4, betas=(0.9, 0.98), eps=1e-6,
        weight_decay=0.2, max_grad_norm=1.0),
    constructor='mmc2v.CLIP4ClipOptimWrapperConstructor',  # decay of all but biases
    paramwise_cfg=dict(lr_mult={'backbone': 1e-3, 'text_backbone': 1e-3,
                                'head.logit_scale': 1e-3}))
param_scheduler = [dict(type='mmc2v.CLIP4ClipCosineLR', by_epoch=False, warmup=0.1)]
