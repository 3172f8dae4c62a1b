"""The registered metric: keys, captions with equal tokens, groups."""
import numpy as np
import pytest
import torch
from mmaction.structures import ActionDataSample
from mmengine.evaluator import Evaluator

from mmc2v.evaluation import RetrievalEmbeddings
from mmc2v.registry import METRICS


def evaluate(videos, texts, tokens, groups=None, kinds=None, **kwargs):
    """Run the evaluator on lists with one element a video."""
    evaluator = Evaluator([METRICS.build(dict(type='mmc2v.RetrievalMetric', **kwargs))])
    for index, (video, text, ids) in enumerate(zip(videos, texts, tokens)):
        sample = ActionDataSample(video_embedding=torch.tensor(video),
                                  text_embeddings=torch.tensor(text))
        sample.set_metainfo(dict(video_id=f'{index}.mp4', **(
            {'group': groups[index]} if groups else {}), **(
            {'kind': kinds[index]} if kinds else {})))
        evaluator.process([sample], dict(inputs=dict(tokens=[torch.tensor(ids)])))
    return evaluator.evaluate(len(videos))


VIDEOS = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
TEXTS = [[[0.9, 0.1, 0.2], [0.5, 0.4, 0.6]], [[0.2, 0.3, 0.1]], [[0.7, 0.1, 0.6]]]
TOKENS = [[[1, 2], [1, 3]], [[1, 4]], [[1, 5]]]


def test_figures_of_several_captions():
    metrics = evaluate(VIDEOS, TEXTS, TOKENS)
    keys = ('R1', 'R5', 'R10', 'MdR', 'MnR')
    assert set(metrics) == {
        *(f'{name}/{key}' for name in ('t2v', 'v2t', 'v2t_ties_won') for key in keys),
        't2v/tied', 'v2t/tied', 'videos', 'captions', 'undecodable'}
    # ranks t2v 1, 2, 1, 2; v2t: 1 (.9), 2 (.3 against .4), 2 (.6 against .6)
    assert metrics['t2v/R1'] == 50.0
    assert metrics['t2v/MnR'] == 1.5
    assert metrics['v2t/R1'] == pytest.approx(100 / 3)
    assert metrics['v2t/MdR'] == 2.0
    assert metrics['v2t_ties_won/R1'] == pytest.approx(200 / 3)
    assert (metrics['t2v/tied'], metrics['v2t/tied']) == (0, 1)
    assert (metrics['videos'], metrics['captions'], metrics['undecodable']) == (3, 4, 0)


def test_captions_with_equal_tokens_share_one_embedding():
    """Rounded differently in another batch, they still tie, against the model."""
    texts = [[[1.0, 0.0, 0.0]], [[1.0 - 1e-7, 0.0, 0.0]], [[0.0, 0.0, 1.0]]]
    same = evaluate(VIDEOS, texts, [[[1, 2]], [[1, 2]], [[1, 3]]])
    assert same['v2t/R1'] == pytest.approx(100 / 3)
    assert evaluate(VIDEOS, texts, [[[1, 2]], [[1, 9]], [[1, 3]]])['v2t/R1'] > same['v2t/R1']


def test_groups_count_every_member_as_right_and_go_into_the_dump(tmp_path):
    videos, texts = VIDEOS[:2], [[[0.2, 0.9, 0]], [[0.8, 0.3, 0]]]
    tokens = [[[1, 2]], [[1, 3]]]
    metrics = evaluate(videos, texts, tokens, groups=['a', 'a'], group_name='pair',
                       dump=str(tmp_path / 'dump.npz'))
    assert metrics['t2v/R1'] == 0.0
    assert metrics['t2v/pair_R1'] == metrics['v2t/pair_R1'] == 100.0
    again = RetrievalEmbeddings.load(tmp_path / 'dump.npz')
    assert again.info['group_name'] == 'pair'
    assert again.group.tolist() == ['a', 'a']
    with pytest.raises(ValueError, match='group_file'):
        evaluate(videos, texts, tokens, group_name='pair')


def test_kinds_are_ranked_among_themselves(tmp_path):
    """The second caption's best video is of another kind, and the first kind has a tie."""
    videos = [*VIDEOS, [0.0, 0.0, 1.0]]
    texts = [[[0.9, 0, 0]], [[0.8, 0.5, 0.1]], [[0, 0, 0.9]], [[0, 0.2, 0.7]]]
    metrics = evaluate(videos, texts, [[[1, 2]], [[1, 3]], [[1, 4]], [[1, 5]]], by_kind=True,
                       kinds=['look', 'move', 'move', 'move'], groups=['a', 'b', 'c', 'c'],
                       group_name='pair', dump=str(tmp_path / 'dump.npz'))
    assert metrics['t2v/R1'] == 25.0
    assert metrics['t2v/look_R1'] == metrics['v2t/look_R1'] == 100.0
    assert metrics['t2v/move_R1'] == pytest.approx(100 / 3)
    assert metrics['t2v_ties_won/move_R1'] == pytest.approx(100)
    assert 't2v_ties_won/look_R1' not in metrics
    assert metrics['t2v/move_pair_R1'] == 100.0
    again = RetrievalEmbeddings.load(tmp_path / 'dump.npz')
    assert again.kind.tolist() == ['look', 'move', 'move', 'move']
    own = again.of_kind('move')
    assert own.owner.tolist() == [0, 1, 2]
    assert own.video_ids.tolist() == ['1.mp4', '2.mp4', '3.mp4']
    with pytest.raises(ValueError, match='kind_file'):
        evaluate(videos, texts, [[[1, 2]]] * 4, by_kind=True)


def test_nan_names_the_video():
    videos = [VIDEOS[0], [np.nan, 0.0, 0.0], VIDEOS[2]]
    with pytest.raises(ValueError, match=r"1\.mp4"):
        evaluate(videos, TEXTS, TOKENS)


def test_half_precision_embeddings_are_accepted():
    evaluator = Evaluator([METRICS.build(dict(type='mmc2v.RetrievalMetric'))])
    sample = ActionDataSample(video_embedding=torch.ones(2, dtype=torch.bfloat16),
                              text_embeddings=torch.ones(1, 2, dtype=torch.bfloat16))
    evaluator.process([sample], dict(inputs=dict(tokens=[torch.tensor([[1]])])))
    assert evaluator.evaluate(1)['t2v/R1'] == 100.0
