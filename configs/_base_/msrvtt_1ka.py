# MSR-VTT, protocol 1k-A: 9,000 training videos with about 20 captions each, 1,000 test videos with
# one each. The files are those that MMAction2's CLIP4Clip reads.
data_root = 'data/msrvtt'
missing_hint = (
    'MSR-VTT is looked for under data/msrvtt: train_9k.json, test_JSFUSION.json '
    '({"video0.mp4": ["a caption", ...], ...}) and videos/. MMAction2 has a script that downloads '
    'and prepares all of it, mmaction/.mim/tools/data/video_retrieval/prepare_msrvtt.sh in its '
    'installed package; move or link what it makes to data/msrvtt.')
pipeline_head = [dict(type='mmc2v.OpenVideo')]
pipeline_tail = [
    dict(type='mmc2v.DecodeFrames'),
    dict(type='mmc2v.ResizeCenterCrop', size=224),
    dict(type='mmc2v.Tokenize', max_words=32),
    dict(type='mmc2v.PackRetrievalInputs'),
]
sampling = dict(type='mmc2v.SampleGridFrames', num_frames=12, divisor=2)
train_pipeline = [*pipeline_head, dict(sampling, jitter=True), *pipeline_tail]
test_pipeline = [*pipeline_head, sampling, *pipeline_tail]

train_dataloader = dict(
    batch_size=16,  # on 8 GPUs: the total of 128 is part of the recipe
    num_workers=8,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='mmc2v.VideoTextDataset', data_root=data_root, ann_file='train_9k.json',
        data_prefix=dict(video='videos'), pipeline=train_pipeline, missing_hint=missing_hint))
val_dataloader = dict(
    batch_size=32,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='mmc2v.VideoTextDataset', data_root=data_root, ann_file='test_JSFUSION.json',
        data_prefix=dict(video='videos'), pipeline=test_pipeline, missing_hint=missing_hint,
        test_mode=True))
test_dataloader = val_dataloader
val_evaluator = dict(type='mmc2v.RetrievalMetric')
test_evaluator = val_evaluator
