"""Small models, videos and data sets that tests share."""
import json
import resource
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config

from mmc2v.registry import MODELS
from mmc2v.synthetic.writing import write_video

ROOT = Path(__file__).resolve().parents[1]
ARCH = dict(embed_dim=64, quick_gelu=True,
            vision_cfg=dict(image_size=32, patch_size=16, width=64, layers=1),
            text_cfg=dict(context_length=32, vocab_size=49408, width=64, heads=1, layers=2))
# every neck that can be built, by a name for test ids
NECKS = {
    'mean': dict(type='mmc2v.MeanPooling'),
    **{f'transformer-{branch}': dict(
        type='mmc2v.TemporalTransformer', embed_dim=64, num_layers=1, max_frames=32,
        local_branch=config)
       for branch, config in (('none', None), ('frames', dict(type='mmc2v.FrameLocalBranch')))},
    **{f'tdb-{encoder.lower()}-{branch}': dict(
        type='mmc2v.TemporalDifferenceBlock', embed_dim=64, num_layers=1, max_frames=32,
        difference_encoder=dict(type=f'mmc2v.{encoder}Difference'), local_branch=config)
       for encoder in ('Attention', 'MLP', 'Identity')
       for branch, config in (('none', None), ('frames', dict(type='mmc2v.FrameLocalBranch')),
                              ('differences', dict(type='mmc2v.DifferenceLocalBranch')))},
}
def combinations():
    """Every neck with every head that it can train with."""
    return [(neck, alignment) for neck in NECKS for alignment in (True, False)
            if alignment or neck == 'mean' or neck.endswith('none')]


TAB = dict(type='mmc2v.TemporalAlignmentBlock', num_centers=3)


def model_config(neck='tdb-attention-differences', alignment=True, arch=ARCH, **kwargs):
    return dict(
        type='mmc2v.CLIP2Video', backbone=dict(type='mmc2v.CLIPVisionTower', arch=arch),
        text_backbone=dict(type='mmc2v.CLIPTextTower', arch=arch), neck=dict(NECKS[neck]),
        head=dict(type='mmc2v.RetrievalHead', embed_dim=64, alignment=TAB if alignment else None),
        **kwargs)


def build_model(*args, seed=0, **kwargs):
    torch.manual_seed(seed)
    return MODELS.build(model_config(*args, **kwargs))


def batch(num=4, num_frames=5, num_tokens=8, seed=0):
    """Random frames, all valid, and captions of different lengths."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(1, 49406, (num, num_tokens), generator=generator)
    tokens[:, 0] = 49406
    for row in range(num):
        end = num_tokens - 1 - row % 3
        tokens[row, end] = 49407
        tokens[row, end + 1:] = 0
    return dict(frames=torch.randn(num, num_frames, 3, 32, 32, generator=generator),
                frame_mask=torch.ones(num, num_frames, dtype=torch.bool), tokens=tokens)


def random_video(path, num_frames=40, size=(48, 64), fps=5, seed=0):
    """Write a lossless video in which every frame is another."""
    frames = np.random.default_rng(seed).integers(0, 256, (num_frames, *size, 3), dtype=np.uint8)
    write_video(Path(path), frames, fps)


def write_dataset(folder, num_videos=9, captions_per_video=2, **kwargs):
    """Write videos and the annotation of all of them."""
    (folder / 'videos').mkdir(parents=True)
    annotation = {}
    for index in range(num_videos):
        random_video(folder / 'videos' / f'{index}.mp4', seed=index, **kwargs)
        annotation[f'{index}.mp4'] = [f'video number {index} said in way {way}'
                                      for way in range(1 + (index + captions_per_video) % 3)]
    (folder / 'all.json').write_text(json.dumps(annotation))
    return annotation


@contextmanager
def full_disk(size=300):
    """Let no file grow beyond so many bytes: what is written fails as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def pipeline(jitter=False, num_frames=4, sampling=None):
    sampling = sampling or dict(type='mmc2v.SampleGridFrames', num_frames=num_frames,
                                jitter=jitter)
    return [dict(type='mmc2v.OpenVideo'), sampling, dict(type='mmc2v.DecodeFrames'),
            dict(type='mmc2v.ResizeCenterCrop', size=32), dict(type='mmc2v.Tokenize', max_words=32),
            dict(type='mmc2v.PackRetrievalInputs')]


def dataset_config(folder, test_mode=False, **kwargs):
    return {**dict(type='mmc2v.VideoTextDataset', ann_file='all.json', data_root=str(folder),
                   data_prefix=dict(video='videos'), test_mode=test_mode,
                   pipeline=pipeline(jitter=not test_mode)), **kwargs}


def run_config(data, work_dir, workers=0, epochs=2, **kwargs):
    """A whole config on a data set of write_dataset, for Runner.from_cfg or a file."""
    config = Config.fromfile(ROOT / 'configs' / '_base_' / 'default_runtime.py')
    loader = dict(batch_size=3, num_workers=workers, persistent_workers=workers > 0)
    test_loader = dict(loader, sampler=dict(type='DefaultSampler', shuffle=False),
                       dataset=dataset_config(data, test_mode=True))
    config.merge_from_dict(dict(
        model=model_config(), work_dir=str(work_dir), visualizer=None,
        train_dataloader=dict(loader, drop_last=True,
                              sampler=dict(type='DefaultSampler', shuffle=True),
                              dataset=dataset_config(data)),
        val_dataloader=test_loader, test_dataloader=test_loader,
        val_evaluator=dict(type='mmc2v.RetrievalMetric'),
        test_evaluator=dict(type='mmc2v.RetrievalMetric'),
        train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=epochs, val_interval=1),
        val_cfg=dict(type='ValLoop'), test_cfg=dict(type='TestLoop'),
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3),
                           constructor='mmc2v.RetrievalOptimWrapperConstructor'),
        param_scheduler=[dict(type='CosineAnnealingLR', T_max=2, end=2, by_epoch=True,
                              convert_to_iter_based=True)]))
    overlap = next(hook for hook in config.custom_hooks if 'SplitOverlap' in hook.type)
    overlap.allow = ['all.json']  # the same few videos serve for everything
    config.merge_from_dict(kwargs)
    return config
