"""Gives the metric a query bank of training captions."""
from itertools import chain

import numpy as np
from mmengine.dist import all_gather_object, get_dist_info
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmc2v.annotations import read_annotation
from mmc2v.apis import encode_texts
from mmc2v.evaluation import RetrievalMetric
from mmc2v.registry import HOOKS

from ..bare_model import bare_model


@HOOKS.register_module()
class QueryBankHook(Hook):
    """Encodes training captions before testing, so that the metric also reports QB-Norm.

    Args:
        ann_file (str): Annotation of the training set.
        num_captions (int): Size of the bank, spread evenly over the annotation; smaller where it
            has fewer. Defaults to 10000.
    """

    def __init__(self, ann_file: str, num_captions: int = 10000) -> None:
        if num_captions < 1:
            raise ValueError(f'num_captions must be at least 1, got {num_captions}')
        self.ann_file = ann_file
        self.num_captions = num_captions

    def before_test_epoch(self, runner: Runner) -> None:
        """Encode a share on every rank and hand the whole to the metric."""
        captions = list(chain.from_iterable(read_annotation(self.ann_file).values()))
        count = min(self.num_captions, len(captions))
        chosen = [captions[i] for i in np.linspace(0, len(captions) - 1, count, dtype=int)]
        runner.logger.info(f"encoding a query bank of {count} of the {len(captions)} captions of "
                           f"'{self.ann_file}'")
        rank, world_size = get_dist_info()
        # every rank has at least one; what the padding repeats is cut off below
        padded = chosen + chosen[:1] * (-count % world_size)
        embeddings = encode_texts(bare_model(runner), padded[rank::world_size], title='query bank',
                                  pipeline=runner.cfg.test_dataloader.dataset.pipeline)
        parts = all_gather_object(embeddings.float().numpy())
        bank = np.stack(parts, axis=1).reshape(len(padded), -1)[:count]
        for metric in runner.test_evaluator.metrics:
            if isinstance(metric, RetrievalMetric):
                metric.set_query_bank(bank)
