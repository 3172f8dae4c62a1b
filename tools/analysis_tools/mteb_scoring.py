"""Scores of captions with videos on pairs of twins, by models that follow MTEB's protocol.

Written for mteb 2. N captions, M videos.
"""
from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Optional

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader
from twin_scoring import TwinScores

from mmc2v.first_line import first_line_of
from mmc2v.synthetic.twin_pairs import CONTROL

if TYPE_CHECKING:
    from mmc2v.synthetic.twin_pairs import TwinSet


class WatchedLoader(DataLoader):
    """Remembers which frames were handed over, where they are handed over as frames.

    Models of mteb put their own sampling into ``collate_fn``, so what leaves the loader is what
    they see.

    Args:
        *args: Of ``DataLoader``.
        **kwargs: Likewise.

    Attributes:
        seen (list): The frames of each video of the last pass, in no order; None for a video that
            was handed over in another form.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.seen: list[Optional[list[bytes]]] = []

    def __iter__(self) -> Iterator[dict]:
        """Yield the batches."""
        self.seen = []
        for batch in super().__iter__():
            self.seen += [_digests(video) for video in batch['video']]
            yield batch


def _digests(video: Any) -> Optional[list[bytes]]:
    if not isinstance(video, Tensor) or video.ndim != 4:
        return None
    return sorted(hashlib.blake2b(frame.cpu().numpy().tobytes()).digest() for frame in video)


def _lists(rows: list[dict]) -> dict[str, list]:
    """Collate rows as mteb does what has different lengths."""
    return {key: [row[key] for row in rows] for key in rows[0]}


def score_by_name(name: str, device: Optional[str], twins: TwinSet,
                  batch_size: int) -> TwinScores:
    """Score by a model of mteb's registry.

    Args:
        name (str): For ``mteb.get_model``.
        device (str, optional): Where it runs. Defaults to its own choice.
        twins (TwinSet): Pairs.
        batch_size (int): Videos and captions at a time.

    Raises:
        ValueError: If mteb is not installed, cannot load the model, or lacks what that needs.
    """
    try:
        import mteb
        from datasets import Dataset, Video
    except ImportError as error:
        raise ValueError(f"a model of MTEB needs its package ({error}): pip install 'mmc2v[mteb]'"
                         ) from error
    try:
        encoder = mteb.get_model(name, device=device)
    except Exception as error:  # loaders of many libraries raise of many types
        raise ValueError(f"mteb cannot load '{name}': {type(error).__name__}: "
                         f'{first_line_of(error)}') from error
    videos = Dataset.from_dict(dict(video=twins.paths)).cast_column('video', Video())
    texts = Dataset.from_dict(dict(text=twins.captions))
    try:
        return score_encoder(
            encoder, WatchedLoader(videos, batch_size=batch_size, collate_fn=_lists),
            DataLoader(texts, batch_size=batch_size, collate_fn=_lists), twins, _task(mteb))
    except ImportError as error:  # mteb looks for what reads videos when it reads the first
        raise ValueError(f"'{name}' lacks a package: {first_line_of(error)}") from error


def _task(mteb: Any) -> Any:
    """Return the metadata of a task between texts and videos, by which models choose prompts."""
    return mteb.abstasks.task_metadata.TaskMetadata(
        name='OrderOfTime', description='Tell a video from its reverse by a caption.',
        type='VideoPairClassification', category='v2t', modalities=['video', 'text'],
        eval_langs=['eng-Latn'], main_score='group',
        dataset=dict(path='mmc2v/order_of_time', revision='1'))


def score_encoder(encoder: Any, videos: WatchedLoader, texts: DataLoader, twins: TwinSet,
                  task_metadata: Any) -> TwinScores:
    """Score by an object that follows ``mteb.EncoderProtocol``.

    Args:
        encoder (Any): With ``encode`` and ``similarity``.
        videos (WatchedLoader): M rows with ``video``.
        texts (DataLoader): N rows with ``text``.
        twins (TwinSet): Pairs.
        task_metadata (Any): Of the task, for prompts.
    """
    video, text = (
        encoder.encode(loader, task_metadata=task_metadata, hf_split='test', hf_subset='default',
                       batch_size=loader.batch_size) for loader in (videos, texts))
    chosen = np.array([kind != CONTROL for kind in twins.kinds])
    pairs = np.moveaxis(twins.video_index[chosen], 1, -1).reshape(-1, 2)
    shown = [[videos.seen[place] for place in pair] for pair in pairs] \
        if len(videos.seen) == len(twins.videos) else [[None, None]]
    same = None if any(None in pair for pair in shown) else all(
        one == twin for one, twin in shown)
    scores, likeness = (_numbers(encoder.similarity(_precise(side), _precise(video)))
                        for side in (text, video))
    return TwinScores(scores, likeness, "the model's own", same)


def _precise(embeddings: Any) -> Any:
    """Return embeddings with at least the precision of float32, in which nearby scores differ."""
    if isinstance(embeddings, Tensor):
        return embeddings.float()
    return embeddings.astype(np.float32) if embeddings.dtype.itemsize < 4 else embeddings


def _numbers(scores: Any) -> np.ndarray:
    return scores.detach().cpu().numpy() if isinstance(scores, Tensor) else np.asarray(scores)
