"""The picture of queries and the videos that a model finds for them.

M videos, D embedding width, T frames.
"""
from pathlib import Path
from typing import NamedTuple, Union

import numpy as np
from mmengine.dataset import BaseDataset
from PIL import Image, ImageDraw
from torch import Tensor
from visualizations.picture_text import font, shorten, wrap

from mmc2v.evaluation import RetrievalEmbeddings, retrieval_ranks
from mmc2v.whole_files import open_whole

_CORRECT, _PAPER, _INK, _LINE = (0, 160, 60), (255, 255, 255), (20, 20, 20), (200, 200, 200)
_LABEL, _MARGIN, _NAME_HEIGHT = 56, 12, 18  # pixels
_LEAST_WIDTH = 360  # of a panel's strips, for short videos


class _Row(NamedTuple):
    """One video of a panel."""

    rank: int
    score: float
    name: str
    is_correct: bool
    strip: Image.Image


def draw_queries(embeddings: RetrievalEmbeddings, dataset: BaseDataset, path: Union[str, Path],
                 num_queries: int = 6, top_k: int = 5, frame_size: int = 72) -> None:
    """Draw first captions of videos with the best videos of each, one a row of frames.

    Below each row stands the name of the file. The correct video is framed in green; where it is
    not among the best, it has a row of its own below them. Ranks are those of the metric: ties
    count against the model, and undecodable videos come last.

    Args:
        embeddings (RetrievalEmbeddings): Of the M videos of the test set and their captions.
        dataset (BaseDataset): The test set, which gives the frames.
        path (str | Path): PNG to write.
        num_queries (int): Captions drawn, spread over the test set. Defaults to 6.
        top_k (int): Videos drawn for each. Defaults to 5.
        frame_size (int): Side of a frame in the picture, in pixels. Defaults to 72.

    Raises:
        ValueError: If the data set lacks a video of the embeddings, or has features instead of
            frames.
    """
    names = embeddings.video_ids.tolist()
    place = {dataset.get_data_info(i)['video_id']: i for i in range(len(dataset))}
    absent = [name for name in names if name not in place]
    if absent:
        raise ValueError(f"{len(absent)} of the {len(names)} embedded videos are not in the "
                         f"config's test set, the first is '{absent[0]}'; give the config, with "
                         'its options, that they were embedded with')
    captions = np.unique(embeddings.owner, return_index=True)[1]  # the first of each video
    text, videos = embeddings.text[captions], np.arange(len(names))
    ranks = retrieval_ranks(text, embeddings.video, videos, videos,
                            undecodable=embeddings.undecodable)['t2v'].lost
    panels = []
    for query in np.linspace(0, len(names) - 1, min(num_queries, len(names)), dtype=int):
        scores = np.where(embeddings.undecodable, -np.inf, embeddings.video @ text[query])
        rows = [_Row(rank, scores[video], names[video], video == query,
                     _strip(valid_frames(dataset, place[names[video]]), frame_size))
                for rank, video in _shown(scores, query, int(ranks[query]), top_k)]
        panels.append(_panel(embeddings.captions[captions[query]], len(names), rows))
    with open_whole(path) as file:
        _stack(panels, columns=2).save(file, 'PNG')


def valid_frames(dataset: BaseDataset, index: int) -> Tensor:
    """Return the (T, 3, H, W) uint8 valid frames of a video of a test set.

    Raises:
        ValueError: If the data set has features instead.
    """
    inputs = dataset[index]['inputs']
    if inputs['frames'].ndim != 4:
        raise ValueError("the picture of queries shows frames, but the config's test set has "
                         'features: test without --show-dir')
    return inputs['frames'][inputs['frame_mask']]


def _shown(scores: np.ndarray, correct: int, rank: int, top_k: int) -> list[tuple[int, int]]:
    """Return ranks and indices of the best videos, and of the correct one in any case."""
    order = np.argsort(-scores, kind='stable')
    order = np.insert(order[order != correct], rank - 1, correct).tolist()
    best = list(enumerate(order, 1))[:top_k]
    return best if rank <= top_k else [*best, (rank, correct)]


def _strip(frames: Tensor, size: int) -> Image.Image:
    """Lay (T, 3, H, W) frames side by side, each of size x size pixels."""
    strip = Image.new('RGB', ((size + 2) * len(frames) - 2, size), _PAPER)
    for number, frame in enumerate(frames):
        image = Image.fromarray(frame.permute(1, 2, 0).numpy()).resize((size, size))
        strip.paste(image, (number * (size + 2), 0))
    return strip


def _panel(caption: str, num_videos: int, rows: list[_Row]) -> Image.Image:
    """Draw one query and its videos."""
    width = max(_LEAST_WIDTH, *(row.strip.width for row in rows))
    correct = next(row for row in rows if row.is_correct)
    title = wrap(f'"{caption}"', font(15), _LABEL + width - 8)
    verdict = f'the correct video has rank {correct.rank} of {num_videos}'
    if correct.rank > 1:
        verdict = f'a miss: {verdict}; it is framed in green'
    top = 8 + 19 * len(title) + 22
    step = rows[0].strip.height + _NAME_HEIGHT + 8
    panel = Image.new('RGB', (_LABEL + width + _MARGIN, top + len(rows) * step + 8), _PAPER)
    draw = ImageDraw.Draw(panel)
    draw.text((8, 6), '\n'.join(title), _INK, font(15), spacing=4)
    draw.text((8, top - 20), verdict, _INK, font(12))
    for number, row in enumerate(rows):
        _draw_row(panel, draw, top + number * step, row, width)
    return panel


def _draw_row(panel: Image.Image, draw: ImageDraw.ImageDraw, top: int, row: _Row,
              width: int) -> None:
    """Draw the strip of one video, its rank and score beside it, its name below it."""
    right, bottom = _LABEL + row.strip.width + 2, top + row.strip.height + 2
    panel.paste(row.strip, (_LABEL, top))
    draw.rectangle((_LABEL - 3, top - 3, right, bottom), outline=_CORRECT if row.is_correct
                   else _LINE, width=3 if row.is_correct else 1)
    draw.text((8, top + row.strip.height // 2 - 14), f'{row.rank}\n{row.score:.2f}', _INK, font(12))
    draw.text((_LABEL, bottom + 2), shorten(row.name, font(11), width), _INK, font(11))


def _stack(panels: list[Image.Image], columns: int) -> Image.Image:
    """Arrange panels in columns, row by row."""
    lines = [panels[start:start + columns] for start in range(0, len(panels), columns)]
    width = max(panel.width for panel in panels)
    heights = [max(panel.height for panel in line) for line in lines]
    sheet = Image.new('RGB', (width * len(lines[0]), sum(heights)), _PAPER)
    for number, line in enumerate(lines):
        for column, panel in enumerate(line):
            sheet.paste(panel, (column * width, sum(heights[:number])))
    return sheet
