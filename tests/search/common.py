"""A small model, its config and checkpoint, and videos to search."""
import os
import time

import torch
from mmengine.config import Config

from mmc2v.registry import MODELS
from mmc2v.search import VideoSearch

from ..tiny import model_config, pipeline, random_video

WINDOW, STRIDE = 2.0, 1.0


def write_model(folder, seed=0, **kwargs):
    """Write config.py and model.pth."""
    config = Config(dict(model=model_config(**kwargs),
                         test_dataloader=dict(dataset=dict(pipeline=pipeline()))))
    config.dump(folder / 'config.py')
    torch.manual_seed(seed)
    torch.save(MODELS.build(config.model).state_dict(), folder / 'model.pth')
    return str(folder / 'config.py'), str(folder / 'model.pth')


def write_videos(folder, lengths=(6, 30, 44)):
    """Write videos of some numbers of frames at 5 fps."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, length in enumerate(lengths):
        random_video(folder / f'{seed}.mp4', num_frames=length, seed=seed)
    return folder


def open_search(folder, index='my.index', model='', **kwargs):
    """Open a search by what write_model wrote."""
    options = dict(window=WINDOW, stride=STRIDE, device='cpu', precision='float32', **kwargs)
    return VideoSearch(folder / index, str(folder / model / 'config.py'),
                       str(folder / model / 'model.pth'), **options)


def wait_for(condition, seconds=60):
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, 'it never came'
        time.sleep(0.02)


def rows(store):
    """Everything in an index, by path, without numbers that depend on the order."""
    contents = dict(store.contents())
    found = {}
    for path, record in store.files().items():
        content = contents.get(record.content)
        found[os.path.basename(path)] = (record.stat, record.reason) + (() if content is None else (
            content.digest, content.duration, content.damage, content.spans.tobytes(),
            content.vectors.tobytes()))
    return found
