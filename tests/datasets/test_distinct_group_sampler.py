"""No batch holds a group twice."""
from collections import Counter
from types import SimpleNamespace

import pytest

from mmc2v.datasets import DistinctGroupBatchSampler


class Grouped(list):
    """A data set of groups alone."""

    def get_data_info(self, index):
        return dict(group=self[index])


def sampler(groups, batch_size, rank=0, world_size=1, epoch=0, monkeypatch=None):
    if monkeypatch:
        monkeypatch.setattr('mmc2v.datasets.distinct_group_sampler.get_dist_info',
                            lambda: (rank, world_size))
    return DistinctGroupBatchSampler(
        SimpleNamespace(dataset=Grouped(groups), seed=3, epoch=epoch), batch_size)


@pytest.mark.parametrize('counts', [[3] * 10, [1, 2, 3, 4, 5, 6], [20, 1, 1, 1, 1]])
def test_batches_are_distinct_and_as_many_as_possible(counts):
    groups = [str(g) for g, count in enumerate(counts) for _ in range(count)]
    batches = list(sampler(groups, 4))
    assert all(len({groups[i] for i in batch}) == 4 for batch in batches)
    used = Counter(index for batch in batches for index in batch)
    assert max(used.values()) == 1
    fits = [m for m in range(len(groups)) if sum(min(c, m) for c in counts) >= 4 * m]
    assert len(batches) == len(sampler(groups, 4)) == max(fits)


def test_epochs_differ_and_repeat():
    groups = [str(i % 9) for i in range(50)]
    first, again, second = (list(sampler(groups, 4, epoch=e)) for e in (0, 0, 1))
    assert first == again != second


def test_ranks_share_one_distinct_batch(monkeypatch):
    groups = [str(i % 9) for i in range(50)]
    ranks = [list(sampler(groups, 3, rank, 2, monkeypatch=monkeypatch)) for rank in range(2)]
    assert len(ranks[0]) == len(ranks[1]) > 0
    for own, other in zip(*ranks):
        assert len(own) == len(other) == 3
        assert len({groups[i] for i in own + other}) == 6


def test_too_few_groups_are_refused():
    with pytest.raises(ValueError, match='3 groups cannot fill a batch of 4'):
        sampler(['a', 'b', 'c', 'c'], 4)
    with pytest.raises(ValueError, match='group_file'):
        sampler([None, None], 2)
