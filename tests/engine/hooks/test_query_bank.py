"""The bank of training captions reaches the metric, and the model stays as it is."""
import numpy as np
import pytest
from mmengine.runner import Runner

from mmc2v.apis import encode_texts
from mmc2v.engine import QueryBankHook
from mmc2v.evaluation import RetrievalEmbeddings

from ...tiny import run_config, write_dataset


def test_captions_spread_over_the_annotation_are_encoded_for_the_metric(tmp_path):
    annotation = write_dataset(tmp_path / 'data', num_videos=5)
    captions = [caption for listed in annotation.values() for caption in listed]
    config = run_config(tmp_path / 'data', tmp_path / 'work', experiment_name='bank')
    config.custom_hooks = [dict(type='mmc2v.QueryBankHook', num_captions=3,
                                ann_file=str(tmp_path / 'data' / 'all.json'))]
    config.test_evaluator.dump = str(tmp_path / 'dump.npz')
    runner = Runner.from_cfg(config)
    assert 't2v_qbnorm/R1' in runner.test()
    dump = RetrievalEmbeddings.load(tmp_path / 'dump.npz')
    expected = encode_texts(runner.model, [captions[0], captions[4], captions[-1]],
                            pipeline=config.test_dataloader.dataset.pipeline)
    np.testing.assert_allclose(dump.query_bank, expected.numpy(), atol=1e-6)
    assert not hasattr(runner.model, 'cfg')
    np.testing.assert_allclose(dump.logit_scale, runner.model.head.logit_scale.exp().item())


@pytest.mark.parametrize(('content', 'message'), [
    ('{"a.mp4": ["x"], "./a.mp4": ["y"]}', "'a.mp4' and './a.mp4' are one video"),
    ('{}', 'holds no video'), ('{"a.mp4": [" "]}', "'a.mp4', caption 0: the caption is empty")])
def test_a_wrong_annotation_is_named(tmp_path, content, message):
    (tmp_path / 'train.json').write_text(content)
    with pytest.raises(ValueError, match=rf"train\.json'.*{message}"):
        QueryBankHook(str(tmp_path / 'train.json')).before_test_epoch(None)
