"""Text-video retrieval metric in both directions."""
import logging
from collections.abc import Sequence
from typing import Optional

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mmc2v.registry import METRICS

from .embeddings import RetrievalEmbeddings
from .protocols import retrieval_metrics


@METRICS.register_module()
class RetrievalMetric(BaseMetric):
    """R@1, R@5, R@10, median and mean rank of T2V and V2T, with any number of captions a video.

    Reads ``video_embedding`` and ``text_embeddings`` of data samples, whose inner product is the
    score. Captions with equal tokens share one embedding, so that their ties are exact.

    Args:
        group_name, by_kind, all_captions, dual_softmax: What else is reported, see
            :func:`~mmc2v.evaluation.protocols.retrieval_metrics`. Defaults to nothing.
        dump (str, optional): Write the embeddings to this ``.npz`` file, see
            :class:`~mmc2v.evaluation.embeddings.RetrievalEmbeddings`. Defaults to none.
        dump_info (dict, optional): Added to its ``info``.
        collect_device (str): 'gpu' gathers by the process group, whatever its device; 'cpu' is
            MMEngine's shared folder, which all nodes would have to see. Defaults to 'gpu'.
        prefix (str, optional): Put before the keys.
    """

    default_prefix = ''  # keys begin with the direction; None would make MMEngine warn

    def __init__(self, group_name: Optional[str] = None, by_kind: bool = False,
                 all_captions: bool = False, dual_softmax: bool = False,
                 dump: Optional[str] = None, dump_info: Optional[dict] = None,
                 collect_device: str = 'gpu', prefix: Optional[str] = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if dump is not None and not dump.endswith('.npz'):
            raise ValueError(f"the dump of embeddings must be an .npz file, got '{dump}'")
        self.options = dict(group_name=group_name or '', by_kind=by_kind,
                            all_captions=all_captions, dual_softmax=dual_softmax)
        self.dump = dump
        self.dump_info = dump_info or {}
        self._query_bank: Optional[np.ndarray] = None

    def set_query_bank(self, query_bank: np.ndarray) -> None:
        """Also report T2V with QB-Norm from now on; :class:`~mmc2v.engine.QueryBankHook` asks so.

        Args:
            query_bank (np.ndarray): (Q, D) float32 unit vectors of training captions.
        """
        self._query_bank = query_bank

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep embeddings of one batch.

        Args:
            data_batch (dict): What the loader gave; its tokens tell which captions are equal.
            data_samples (Sequence[dict]): Data samples with embeddings.
        """
        for sample, tokens in zip(data_samples, data_batch['inputs']['tokens']):
            text = sample['text_embeddings'].detach().float().cpu().numpy()
            self.results.append(dict(
                video=sample['video_embedding'].detach().float().cpu().numpy(), text=text,
                tokens=[row.tobytes() for row in tokens.cpu().numpy()],
                captions=list(sample.get('captions') or [''] * len(text)),
                video_id=str(sample.get('video_id')), group=sample.get('group'),
                kind=sample.get('kind'), undecodable=sample.get('undecodable'),
                logit_scale=float(sample.get('logit_scale', 100.0))))

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Rank everything that was collected.

        Args:
            results (list[dict]): One element a video, in the order of the data set.

        Returns:
            dict[str, float]: See :func:`~mmc2v.evaluation.protocols.retrieval_metrics`.

        Raises:
            ValueError: If an embedding is NaN, or groups or kinds are asked for and missing.
        """
        embeddings = self._assemble(results)
        if self.dump is not None:
            embeddings.save(self.dump)
            print_log(f'{len(embeddings.video)} video and {len(embeddings.text)} caption '
                      f'embeddings were written to {self.dump}', logger='current')
        for result in results:
            if result['undecodable']:
                print_log(f"{result['video_id']} counts as not found: {result['undecodable']}",
                          logger='current', level=logging.WARNING)
        return retrieval_metrics(embeddings, query_bank=self._query_bank is not None,
                                 **self.options)

    def _assemble(self, results: list[dict]) -> RetrievalEmbeddings:
        """Put what was collected into arrays."""
        undecodable = np.array([bool(result['undecodable']) for result in results])
        video = np.stack([result['video'] for result in results])
        video[undecodable] = 0
        groups, kinds = ([result[key] for result in results] for key in ('group', 'kind'))
        meta = self.dataset_meta or {}
        kept = ('ann_file', 'protocol', 'listed_videos', 'missing_videos')
        return RetrievalEmbeddings(
            video=video, video_ids=np.array([result['video_id'] for result in results]),
            undecodable=undecodable,
            text=_share_equal_captions(np.concatenate([result['text'] for result in results]),
                                       [key for result in results for key in result['tokens']]),
            captions=np.array([caption for result in results for caption in result['captions']]),
            owner=np.repeat(np.arange(len(results)), [len(result['text']) for result in results]),
            group=None if None in groups else np.array(groups),
            kind=None if None in kinds else np.array(kinds), query_bank=self._query_bank,
            logit_scale=results[0]['logit_scale'],
            info={**{key: meta[key] for key in kept if key in meta},
                  **{key: self.options[key] for key in ('group_name', 'by_kind')},
                  **self.dump_info})


def _share_equal_captions(text: np.ndarray, tokens: list[bytes]) -> np.ndarray:
    """Give captions with equal tokens the embedding of the first of them.

    Batches of other lengths round differently in the last bits, which would break ties at random.
    """
    first: dict[bytes, int] = {}
    return text[[first.setdefault(key, index) for index, key in enumerate(tokens)]]
