default_scope = 'mmaction'
custom_imports = dict(imports=['mmc2v'], allow_failed_imports=False)

default_hooks = dict(
    runtime_info=dict(type='RuntimeInfoHook'),
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=20, ignore_last=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='mmc2v.AtomicCheckpointHook', interval=1, max_keep_ckpts=3,
                    save_best='t2v/R1', rule='greater'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    sync_buffers=dict(type='SyncBuffersHook'))
custom_hooks = [
    dict(type='mmc2v.EpochRandomnessHook'),
    dict(type='mmc2v.ContrastiveBatchHook'),
    dict(type='mmc2v.UndecodableVideosHook', max_share=0.05),
    dict(type='mmc2v.SplitOverlapHook', allow=[]),  # annotations that may share training videos
    dict(type='mmc2v.BestAndLastHook'),
    dict(type='mmc2v.LoaderShareHook'),
]

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'))
log_processor = dict(type='LogProcessor', window_size=20, by_epoch=True)
vis_backends = [dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')]
visualizer = dict(type='ActionVisualizer', vis_backends=vis_backends)
log_level = 'INFO'
load_from = None
resume = False
randomness = dict(seed=0)
