"""Batches that never hold two items of one group."""
from collections import Counter, defaultdict
from collections.abc import Iterator

import numpy as np
from mmengine.dist import get_dist_info

from mmc2v.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class DistinctGroupBatchSampler:
    """Batches in which every item is of another group, over all ranks together.

    For contrastive training on data in which several videos fit one description: each would be a
    false negative of the others. The groups with most items left go first, which fills as many
    whole batches as can be filled. Incomplete batches are dropped.

    With ``hard_negatives`` groups that are rivals come together: a contrastive loss asks only for
    what tells the items of a batch apart, and items that differ in little rarely meet by chance.
    Where rivals have different numbers of items, or a batch is full, some come alone.

    Args:
        sampler (DefaultSampler): Gives the data set, the seed and the epoch.
        batch_size (int): Items a batch on one rank.
        hard_negatives (bool): Put groups of equal ``rivals`` into the same batch. Defaults to
            False.

    Raises:
        ValueError: If items have no group, or no rivals where they are asked for, or there are
            fewer groups than items in a batch.
    """

    def __init__(self, sampler, batch_size: int, hard_negatives: bool = False) -> None:
        self.sampler = sampler
        self.batch_size = batch_size
        self.rank, self.world_size = get_dist_info()
        dataset = sampler.dataset
        self.groups = [dataset.get_data_info(i).get('group') for i in range(len(dataset))]
        if None in self.groups:
            raise ValueError('DistinctGroupBatchSampler needs a data set with group_file')
        self.rivals = [dataset.get_data_info(i).get('rivals') for i in range(len(dataset))] \
            if hard_negatives else None
        if self.rivals is not None and None in self.rivals:
            raise ValueError('DistinctGroupBatchSampler(hard_negatives=True) needs a data set with '
                             'rival_file')
        self.num_batches = self._count_batches(batch_size * self.world_size)

    def _count_batches(self, total: int) -> int:
        """Return the largest m with sum_g min(c_g, m) >= m * total; c_g items of group g."""
        counts = np.array(list(Counter(self.groups).values()))
        if len(counts) < total:
            raise ValueError(f'{len(counts)} groups cannot fill a batch of {total} distinct ones '
                             f'({self.batch_size} on each of {self.world_size} ranks)')
        num_batches = len(self.groups) // total
        while np.minimum(counts, num_batches).sum() < num_batches * total:
            num_batches -= 1
        return num_batches

    def __len__(self) -> int:
        return self.num_batches

    def __iter__(self) -> Iterator[list[int]]:
        rng = np.random.default_rng((self.sampler.seed, self.sampler.epoch))
        members = defaultdict(list)
        for index in rng.permutation(len(self.groups)):
            members[self.groups[index]].append(int(index))
        items = list(members.values())
        rivals = np.arange(len(items)) if self.rivals is None else np.unique(
            [self.rivals[group[0]] for group in items], return_inverse=True)[1]
        left = np.array([len(group) for group in items], dtype=np.float64)
        total = self.batch_size * self.world_size
        for _ in range(self.num_batches):
            # equally large groups in random order, rivals side by side
            order = np.argsort(-(left + rng.random(len(left))[rivals]))[:total]
            left[order] -= 1
            batch = [items[group].pop() for group in rng.permutation(order)]
            yield batch[self.rank::self.world_size]
