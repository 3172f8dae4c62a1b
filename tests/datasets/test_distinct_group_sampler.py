"""No batch holds a group twice."""
from collections import Counter
from types import SimpleNamespace

import pytest

from mmc2v.datasets import DistinctGroupBatchSampler


class Grouped(list):
    """A data set of groups alone; 'red left' and 'red right' are rivals."""

    def get_data_info(self, index):
        group = self[index]
        return dict(group=group, rivals=group.split()[0]) if group else dict(group=group)


def sampler(groups, batch_size, rank=0, world_size=1, epoch=0, monkeypatch=None, **kwargs):
    if monkeypatch:
        monkeypatch.setattr('mmc2v.datasets.distinct_group_sampler.get_dist_info',
                            lambda: (rank, world_size))
    return DistinctGroupBatchSampler(
        SimpleNamespace(dataset=Grouped(groups), seed=3, epoch=epoch), batch_size, **kwargs)


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


def rivals_met(groups, batches):
    """Share of items that have a rival in their batch."""
    met = [sum(other.split()[0] == item.split()[0] for other in batch) > 1
           for batch in ([groups[i] for i in batch] for batch in batches) for item in batch]
    return sum(met) / len(met)


def test_rivals_come_together():
    groups = [f'{look} {way}' for look in range(40) for way in ('left', 'right') for _ in range(3)]
    by_chance, together = (list(sampler(groups, 8, hard_negatives=hard)) for hard in (False, True))
    assert len(by_chance) == len(together)
    assert all(len({groups[i] for i in batch}) == 8 for batch in together)
    assert max(Counter(i for batch in together for i in batch).values()) == 1
    assert rivals_met(groups, by_chance) < 0.3
    assert rivals_met(groups, together) == 1
    assert list(sampler(groups, 8, epoch=1, hard_negatives=True)) != together


def test_rivals_of_other_numbers_and_odd_batches_are_filled_up():
    groups = ['0 left'] * 9 + ['0 right'] * 2 + [f'{look} left' for look in range(1, 30)]
    batches = list(sampler(groups, 3, hard_negatives=True))
    assert len(batches) == len(sampler(groups, 3, hard_negatives=True)) > 9
    assert all(len({groups[i] for i in batch}) == 3 for batch in batches)


def test_what_was_drawn_without_rivals_stays():
    """Runs of earlier versions resume in the middle of an epoch."""
    groups = [str(i % 9) for i in range(50)]
    assert next(iter(sampler(groups, 4))) == [36, 47, 19, 31]


def test_rivals_have_to_be_known(monkeypatch):
    monkeypatch.setattr(Grouped, 'get_data_info', lambda self, index: dict(group=self[index]))
    with pytest.raises(ValueError, match='rival_file'):
        sampler(['a', 'b'], 2, hard_negatives=True)
