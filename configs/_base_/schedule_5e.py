# The training recipe, reconstructed: the authors published inference code only. It follows
# CLIP4Clip, on which their code is built: total batch 128, 5 epochs, 10 % linear warm-up, cosine,
# new modules 1e-4. CLIP's own rate is 1e-6 here instead of 1e-7, which was tuned to weights kept
# in float16. What else differs: docs/reproduce.md. Theirs: schedule_clip4clip.py.
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=5, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='mmc2v.AutocastOptimWrapper',  # bfloat16, on CPU and CUDA
    optimizer=dict(type='AdamW', lr=1e-4, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.2),
    constructor='mmc2v.RetrievalOptimWrapperConstructor',
    paramwise_cfg=dict(lr_mult={'backbone': 0.01, 'text_backbone': 0.01,
                                'head.logit_scale': 0.01}),
    clip_grad=dict(max_norm=1.0, error_if_nonfinite=True))
param_scheduler = [dict(type='mmc2v.WarmupCosineLR', by_epoch=False, warmup=0.1, start_factor=1e-3)]
auto_scale_lr = dict(enable=False, base_batch_size=128)
