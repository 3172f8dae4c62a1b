"""Text-video retrieval metric in both directions."""
from collections.abc import Sequence
from typing import Optional

import numpy as np
from mmengine.evaluator import BaseMetric

from mmc2v.registry import METRICS

from .ranks import refuse_not_finite, retrieval_ranks, summarize


@METRICS.register_module()
class RetrievalMetric(BaseMetric):
    """R@1, R@5, R@10, median and mean rank of T2V and V2T, with any number of captions a video.

    Reads ``video_embedding`` and ``text_embeddings`` of data samples, whose inner product is the
    score. Captions with equal tokens share one embedding, so that their ties are exact.

    Args:
        group_name (str, optional): Also report ``t2v/<group_name>_R1`` and
            ``v2t/<group_name>_R1``, where every video of the same ``group`` counts as right.
            Defaults to none.
        collect_device (str): 'gpu' gathers by the process group, whatever its device; 'cpu' is
            MMEngine's shared folder, which all nodes would have to see. Defaults to 'gpu'.
        prefix (str, optional): Put before the keys.
    """

    default_prefix = ''  # keys begin with the direction; None would make MMEngine warn

    def __init__(self, group_name: Optional[str] = None, collect_device: str = 'gpu',
                 prefix: Optional[str] = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.group_name = group_name

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep embeddings of one batch.

        Args:
            data_batch (dict): What the loader gave; its tokens tell which captions are equal.
            data_samples (Sequence[dict]): Data samples with embeddings.
        """
        for sample, tokens in zip(data_samples, data_batch['inputs']['tokens']):
            self.results.append(dict(
                video=sample['video_embedding'].detach().float().cpu().numpy(),
                text=sample['text_embeddings'].detach().float().cpu().numpy(),
                tokens=[row.tobytes() for row in tokens.cpu().numpy()],
                video_id=sample.get('video_id'), group=sample.get('group')))

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Rank everything that was collected.

        Args:
            results (list[dict]): One element a video, in the order of the data set.

        Returns:
            dict[str, float]: ``t2v/R1``, ``t2v/R5``, ``t2v/R10``, ``t2v/MdR``, ``t2v/MnR`` and the
            same for ``v2t``; ``.../<group_name>_R1`` where asked for.

        Raises:
            ValueError: If an embedding is NaN, or a group is asked for and missing.
        """
        video = np.stack([result['video'] for result in results])
        text = _share_equal_captions(np.concatenate([result['text'] for result in results]),
                                     [key for result in results for key in result['tokens']])
        # before ranking, which knows numbers alone
        refuse_not_finite('video', video, [result['video_id'] for result in results])
        counts = [len(result['text']) for result in results]
        own = np.arange(len(results))
        ranks = retrieval_ranks(text, video, np.repeat(own, counts), own)
        metrics = {f'{direction}/{name}': value
                   for direction, values in zip(('t2v', 'v2t'), ranks)
                   for name, value in summarize(values).items()}
        if self.group_name is not None:
            group = self._groups(results)
            ranks = retrieval_ranks(text, video, np.repeat(group, counts), group)
            for direction, values in zip(('t2v', 'v2t'), ranks):
                metrics[f'{direction}/{self.group_name}_R1'] = summarize(values)['R1']
        return metrics

    def _groups(self, results: list[dict]) -> np.ndarray:
        names = [result['group'] for result in results]
        if None in names:
            raise ValueError(f"group_name='{self.group_name}' needs a data set with group_file")
        return np.unique(names, return_inverse=True)[1].reshape(-1)


def _share_equal_captions(text: np.ndarray, tokens: list[bytes]) -> np.ndarray:
    """Give captions with equal tokens the embedding of the first of them.

    Batches of other lengths round differently in the last bits, which would break ties at random.
    """
    first: dict[bytes, int] = {}
    return text[[first.setdefault(key, index) for index, key in enumerate(tokens)]]
