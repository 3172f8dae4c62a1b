"""Embedding from Python gives what evaluation gives."""
import numpy as np
import pytest
import torch
from mmengine.runner import Runner

from mmc2v.apis import embed_texts, embed_videos, init_model
from mmc2v.datasets import VideoDecodeError

from .tiny import run_config, write_dataset


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
    videos = embed_videos(model, paths, batch_size=2)
    torch.testing.assert_close(videos, torch.stack([s.video_embedding for s in seen]),
                               atol=1e-6, rtol=0)
    captions = [caption for own in annotation.values() for caption in own]
    texts = embed_texts(model, captions, batch_size=3)
    torch.testing.assert_close(texts, torch.cat([s.text_embeddings for s in seen]),
                               atol=1e-6, rtol=0)
    assert np.allclose(videos.norm(dim=1), 1, atol=1e-6)
    (tmp_path / 'bad.mp4').touch()
    with pytest.raises(VideoDecodeError, match='bad.mp4'):
        embed_videos(model, [str(tmp_path / 'bad.mp4')])


def test_random_model_is_refused(tmp_path):
    write_dataset(tmp_path / 'data', num_videos=1)
    config = run_config(tmp_path / 'data', tmp_path / 'work')
    with pytest.raises(ValueError, match='would be random'):
        init_model(config)
