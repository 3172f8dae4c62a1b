"""Embedding from Python gives what evaluation gives."""
import runpy

import numpy as np
import pytest
import torch
from mmengine.runner import Runner

from mmc2v.apis import encode_texts, encode_videos, init_model
from mmc2v.datasets import VideoDecodeError
from mmc2v.evaluation import RetrievalEmbeddings
from mmc2v.registry import MODELS

from .test_checkpoint_reading import flip
from .tiny import ROOT, pipeline, run_config, write_dataset


def test_embeddings_are_those_of_evaluation(tmp_path):
    annotation = write_dataset(tmp_path / 'data', num_videos=5)
    config = run_config(tmp_path / 'data', tmp_path / 'work', experiment_name='apis')
    runner = Runner.from_cfg(config)
    runner.model.eval()
    torch.save(dict(state_dict=runner.model.state_dict()), tmp_path / 'model.pth')
    seen = []
    for batch in runner.test_dataloader:
        with torch.no_grad():
            seen += runner.model.test_step(batch)
    model = init_model(config, str(tmp_path / 'model.pth'))
    paths = [str(tmp_path / 'data' / 'videos' / name) for name in annotation]
    videos = encode_videos(model, paths, batch_size=2)
    torch.testing.assert_close(videos, torch.stack([s.video_embedding for s in seen]),
                               atol=1e-6, rtol=0)
    captions = [caption for own in annotation.values() for caption in own]
    texts = encode_texts(model, captions, batch_size=3)
    torch.testing.assert_close(texts, torch.cat([s.text_embeddings for s in seen]),
                               atol=1e-6, rtol=0)
    assert np.allclose(videos.norm(dim=1), 1, atol=1e-6)
    for wrong in ('a sentence', []):
        with pytest.raises(ValueError, match='must be a list'):
            encode_texts(model, wrong)
        with pytest.raises(ValueError, match='must be a list'):
            encode_videos(model, wrong)
    (tmp_path / 'bad.mp4').touch()
    with pytest.raises(VideoDecodeError, match='bad.mp4'):
        encode_videos(model, [str(tmp_path / 'bad.mp4')])


def test_bf16_of_the_script_is_that_of_python(tmp_path, monkeypatch):
    annotation = write_dataset(tmp_path / 'data', num_videos=3)
    config = run_config(tmp_path / 'data', tmp_path / 'work', experiment_name='bf16')
    config.dump(tmp_path / 'tiny.py')
    checkpoint, dump = _save(config, tmp_path), tmp_path / 'dump.npz'
    monkeypatch.setattr('sys.argv', ['test.py', str(tmp_path / 'tiny.py'), str(checkpoint),
                                     '--bf16', '--dump', str(dump)])
    runpy.run_path(str(ROOT / 'tools' / 'test.py'), run_name='test')['main']()
    paths = [str(tmp_path / 'data' / 'videos' / name) for name in annotation]
    full, half = (encode_videos(init_model(config, str(checkpoint), bf16=bf16), paths)
                  for bf16 in (False, True))
    assert half.dtype == torch.float32
    assert torch.cosine_similarity(half, full).min() > 0.999
    assert (half - full).abs().max() > 1e-4
    by_script = torch.from_numpy(RetrievalEmbeddings.load(dump).video)
    torch.testing.assert_close(by_script, half, atol=1e-6, rtol=0)


def test_a_damaged_checkpoint_is_refused(tmp_path):
    write_dataset(tmp_path / 'data', num_videos=1)
    config = run_config(tmp_path / 'data', tmp_path / 'work')
    checkpoint = _save(config, tmp_path)
    init_model(config, str(checkpoint))
    flip(checkpoint)
    with pytest.raises(ValueError, match=rf"'{checkpoint}' is damaged: the checksum of its part"):
        init_model(config, str(checkpoint))


def test_random_model_is_refused(tmp_path):
    write_dataset(tmp_path / 'data', num_videos=1)
    config = run_config(tmp_path / 'data', tmp_path / 'work')
    with pytest.raises(ValueError, match='would be random'):
        init_model(config)


def test_transforms_of_mmaction2_need_no_scope(tmp_path):
    """As in the runner, names without a scope are MMAction2's."""
    write_dataset(tmp_path / 'data', num_videos=1)
    config = run_config(tmp_path / 'data', tmp_path / 'work')
    config.model.head.alignment = config.model.neck.local_branch = None
    model = init_model(config, device='cpu', checkpoint=str(_save(config, tmp_path)))
    sampling = dict(type='UniformSample', clip_len=4, num_clips=1, test_mode=True)
    model.cfg.test_dataloader.dataset.pipeline = pipeline(sampling=sampling)
    path = str(tmp_path / 'data' / 'videos' / '0.mp4')
    assert encode_videos(model, [path]).shape == (1, 64)


def _save(config, folder):
    torch.save(dict(state_dict=MODELS.build(config.model).state_dict()), folder / 'start.pth')
    return folder / 'start.pth'
