"""Scores of captions with videos on pairs of twins, by models of ours or from a file.

N captions, M videos, n pairs of a kind, D width.
"""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

import numpy as np

if TYPE_CHECKING:
    from torch import nn

    from mmc2v.synthetic.twin_pairs import TwinSet


class TwinScores(NamedTuple):
    """What a model says of all captions and videos.

    Attributes:
        text_video (np.ndarray): (N, M).
        video_video (np.ndarray, optional): (M, M), None where it is not known.
        sampling (str): How frames were chosen.
        same_frames (bool, optional): Whether the model was shown the same frames of twins, in
            whatever order; None where that was not seen.
    """

    text_video: np.ndarray
    video_video: Optional[np.ndarray]
    sampling: str
    same_frames: Optional[bool]


def score_model(config: str, checkpoint: Optional[str], device: str, twins: TwinSet,
                batch_size: int) -> TwinScores:
    """Score by a model of ours, or by an exported one.

    Args:
        config (str): See :func:`mmc2v.apis.init_model`.
        checkpoint (str, optional): Likewise.
        device (str): Where it runs.
        twins (TwinSet): Pairs.
        batch_size (int): Videos at a time.

    Raises:
        ValueError: If it takes features in place of frames.
    """
    from mmc2v.apis import encode_texts, encode_videos, init_model, takes_features
    from mmc2v.progress import progress

    model = init_model(config, checkpoint, device)
    if takes_features(model):
        raise ValueError('the model takes features in place of frames: extract those of the '
                         'videos, encode them by it, and give the vectors by --embeddings')
    pipeline, sampling, same_frames = _symmetric_pipeline(model, twins)
    starts = range(0, len(twins.videos), batch_size)
    video = np.concatenate([
        encode_videos(model, twins.paths[start:start + batch_size], batch_size, pipeline=pipeline)
        for start in progress(starts, 'videos', 'batch')])
    text = encode_texts(model, twins.captions, title='captions', pipeline=pipeline).numpy()
    return TwinScores(text @ video.T, video @ video.T, sampling, same_frames)


def _symmetric_pipeline(model: nn.Module, twins: TwinSet) -> tuple[list[dict], str, bool]:
    """Return a pipeline that takes the same frames of twins, how it samples, and whether it does.

    The published sampling is not symmetric in time where a video has more frames than are taken.
    """
    from mmc2v.apis import reading_steps
    from mmc2v.synthetic.twin_pairs import CONTROL

    pipeline = list(model.cfg.test_dataloader.dataset.pipeline)
    firsts = [twins.kinds.index(kind) for kind in dict.fromkeys(twins.kinds) if kind != CONTROL]
    pairs = [[twins.paths[place] for place in twins.video_index[pair, :, 0]] for pair in firsts]

    def shows_same_frames(steps: list[dict]) -> bool:
        transform = reading_steps(model, for_text=False, pipeline=steps)
        return all(_frames(transform, one) == _frames(transform, twin) for one, twin in pairs)
    if shows_same_frames(pipeline):
        return pipeline, "the model's own", True
    count = twins.made_with.get('num_frames')
    every = [dict(type='mmc2v.SampleGridFrames', num_frames=count)
             if step['type'].split('.')[-1] == 'SampleGridFrames' else step for step in pipeline]
    if count is None or every == pipeline or not shows_same_frames(every):
        return pipeline, "the model's own", False
    return every, "every frame, because the model's own takes other frames of the twin", True


def _frames(transform: Any, path: str) -> list[bytes]:
    """Return the frames that a model gets of a video, in no order."""
    inputs = transform(dict(filename=path, video_id=path))['inputs']
    return sorted(frame.numpy().tobytes() for frame in inputs['frames'])


def score_embeddings(path: Path, twins: TwinSet) -> TwinScores:
    """Score by what another program computed.

    Args:
        path (Path): ``.npz`` with ``video`` (M, D) and ``text`` (N, D), whose cosines are the
            scores, or with ``scores`` (N, M) and if known ``likeness`` (M, M); in the order of
            the lists of ``pairs.json``.
        twins (TwinSet): Pairs.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not such a file, or of another number of captions or videos.
    """
    from mmc2v.evaluation.embeddings import read_arrays

    if not path.is_file():
        raise FileNotFoundError(f"'{path}' is not a file")
    try:
        arrays = read_arrays(path, ('video', 'text', 'scores', 'likeness'))
        if {'video', 'text'} <= arrays.keys():
            video, text = _unit_rows(arrays['video']), _unit_rows(arrays['text'])
            scores, likeness = text @ video.T, video @ video.T
        else:
            scores, likeness = arrays['scores'], arrays.get('likeness')
        count = len(twins.videos)
        for name, array, shape in (('scores', scores, (len(twins.captions), count)),
                                   ('likeness', likeness, (count, count))):
            if array is not None and (array.shape != shape or array.dtype.kind != 'f'):
                raise ValueError(f"{name} are {array.dtype} of shape {array.shape}, expected "
                                 f'numbers of shape {shape}')
            if array is not None and not np.isfinite(array).all():
                raise ValueError(f'{name} are NaN or infinite')
    except Exception as error:  # a damaged archive raises of many types
        raise ValueError(f"'{path}' holds neither 'video' and 'text', one row for each video and "
                         f"caption of pairs.json, nor 'scores', as numpy.savez writes them: "
                         f'{type(error).__name__}: {error}') from error
    return TwinScores(scores, likeness, 'not known', None)


def _unit_rows(embeddings: np.ndarray) -> np.ndarray:
    """Return (N, D) float32 rows of length 1."""
    embeddings = embeddings.astype(np.float32)
    return embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)


def measure(scored: TwinScores, twins: TwinSet, tolerance: float) -> dict[str, Any]:
    """Return the figures of each kind of pairs, ready for JSON.

    Args:
        scored (TwinScores): Of a model.
        twins (TwinSet): Pairs.
        tolerance (float): Scores of twins that differ by no more than this share of the largest
            score tie.

    Returns:
        dict[str, Any]: ``kinds``: for each its ``pairs``, how far twins' ``difference`` goes, as
        a share of the largest score, and ``figures``, each with value and standard error, which
        are null where there is none.
    """
    from mmc2v.evaluation.twins import level_twins, twin_figures

    largest = max(float(abs(scored.text_video).max()), np.finfo(np.float32).tiny)
    kinds = {}
    for kind in dict.fromkeys(twins.kinds):
        chosen = np.flatnonzero(np.array(twins.kinds) == kind)
        videos, captions = twins.video_index[chosen], twins.caption_index[chosen]
        scores = scored.text_video[captions[..., None, None, None], videos]  # (n, 2, P, n, 2, R)
        likeness = None
        if scored.video_video is not None and videos.shape[-1] > 1:
            likeness = scored.video_video[videos[:, :, None, 0], videos[:, None, :, 1]]
            for axis in (1, 2):
                likeness = level_twins(likeness, tolerance * abs(likeness).max(), axis)
        own = np.arange(len(chosen))
        difference = abs(np.diff(scores[own, :, :, own], axis=3)).max() / largest
        for axis in (1, 4):
            scores = level_twins(scores, tolerance * largest, axis)
        kinds[kind] = dict(pairs=len(chosen), difference=float(difference), figures={
            name: [None if np.isnan(number) else number for number in figure]
            for name, figure in twin_figures(scores, likeness).items()})
    return dict(kinds=kinds, tolerance=tolerance, sampling=scored.sampling,
                same_frames=scored.same_frames, made_with=twins.made_with)
