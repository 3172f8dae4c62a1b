"""Draws queries with the videos that a model finds for them."""
import os.path as osp
from collections.abc import Sequence
from typing import NamedTuple, Optional

import numpy as np
from mmengine.dist import collect_results, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.utils import mkdir_or_exist
from PIL import Image, ImageDraw
from torch import Tensor

from mmc2v.registry import HOOKS

from .picture_text import font, shorten, wrap

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


@HOOKS.register_module()
class RetrievalPictureHook(Hook):
    """Writes a picture of queries after testing: the best videos of each, one a row of frames.

    Below each row stands the name of the file. The correct video is framed in green; where it is
    not among the best, it has a row of its own below them. Ties count against the model, as in the
    metric.

    Args:
        out_dir (str): Folder of ``retrieval.png``.
        num_queries (int): Captions drawn, spread over the test set. Defaults to 6.
        top_k (int): Videos drawn for each. Defaults to 5.
        frame_size (int): Side of a frame in the picture, in pixels. Defaults to 72.

    Raises:
        ValueError: At the first batch, if the data set has features instead of frames.
    """

    priority = 'LOW'

    def __init__(self, out_dir: str, num_queries: int = 6, top_k: int = 5,
                 frame_size: int = 72) -> None:
        self.out_dir = out_dir
        self.num_queries = num_queries
        self.top_k = top_k
        self.frame_size = frame_size
        self._items: list[dict] = []

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: Optional[dict] = None,
                        outputs: Optional[Sequence] = None) -> None:
        """Keep embeddings, captions and names."""
        if data_batch['inputs']['frames'][0].ndim != 4:
            raise ValueError('the picture of queries shows frames, but this data set has features: '
                             'test without --show-dir')
        self._items += [dict(
            video=sample.video_embedding.float().cpu().numpy(), captions=sample.captions,
            text=sample.text_embeddings.float().cpu().numpy(),
            name=str(sample.video_id)) for sample in outputs]

    def after_test_epoch(self, runner: Runner, metrics: Optional[dict] = None) -> None:
        """Draw on the main process."""
        dataset = runner.test_dataloader.dataset
        items = collect_results(self._items, len(dataset), 'gpu')
        self._items = []
        if not is_main_process():
            return
        video = np.stack([item['video'] for item in items])
        names = [item['name'] for item in items]
        chosen = np.linspace(0, len(items) - 1, min(self.num_queries, len(items)), dtype=int)
        panels = [_panel(items[own]['captions'][0], len(items), self._rows(
            video @ items[own]['text'][0], own, names, dataset)) for own in chosen]
        mkdir_or_exist(self.out_dir)
        path = osp.join(self.out_dir, 'retrieval.png')
        _stack(panels, columns=2).save(path)
        runner.logger.info(f'queries and their best videos are drawn in {path}')

    def _rows(self, scores: np.ndarray, own: int, names: list[str], dataset) -> list[_Row]:
        """Return the best videos of a query, and the correct one where it is not among them."""
        # of equal scores the correct video comes last
        order = np.lexsort((np.arange(len(scores)) == own, -scores)).tolist()
        shown = list(enumerate(order, 1))[:self.top_k]
        if own not in order[:self.top_k]:
            shown.append((order.index(own) + 1, own))
        return [_Row(rank, float(scores[index]), names[index], index == own,
                     self._strip(dataset[index]['inputs'])) for rank, index in shown]

    def _strip(self, inputs: dict) -> Image.Image:
        """Lay the valid frames of a video side by side."""
        frames: Tensor = inputs['frames'][inputs['frame_mask']]
        images = [Image.fromarray(frame.permute(1, 2, 0).numpy()).resize(
            (self.frame_size, self.frame_size)) for frame in frames]
        step = self.frame_size + 2
        strip = Image.new('RGB', (step * len(images) - 2, self.frame_size), _PAPER)
        for number, image in enumerate(images):
            strip.paste(image, (number * step, 0))
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
