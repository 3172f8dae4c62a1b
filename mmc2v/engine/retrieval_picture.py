"""Draws queries with the videos that a model finds for them."""
import os.path as osp
from collections.abc import Sequence
from typing import Optional

import numpy as np
from mmengine.dist import collect_results, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.utils import mkdir_or_exist
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from mmc2v.registry import HOOKS

_RIGHT, _PAPER, _INK, _LINE = (0, 160, 60), (255, 255, 255), (20, 20, 20), (200, 200, 200)


@HOOKS.register_module()
class RetrievalPictureHook(Hook):
    """Writes a picture of queries after testing: the best videos of each, one a row of frames.

    The right video is framed in green; where it is not among the best, its rank is written.

    Args:
        out_dir (str): Folder of ``retrieval.png``.
        num_queries (int): Captions drawn, spread over the test set. Defaults to 6.
        top_k (int): Videos drawn for each. Defaults to 5.
        frame_size (int): Side of a frame in the picture, in pixels. Defaults to 72.
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
        """Keep embeddings and captions."""
        self._items += [dict(
            video=sample.video_embedding.float().cpu().numpy(), captions=sample.captions,
            text=sample.text_embeddings.float().cpu().numpy()) for sample in outputs]

    def after_test_epoch(self, runner: Runner, metrics: Optional[dict] = None) -> None:
        """Draw on the main process."""
        dataset = runner.test_dataloader.dataset
        items = collect_results(self._items, len(dataset), 'gpu')
        self._items = []
        if not is_main_process():
            return
        video = np.stack([item['video'] for item in items])
        chosen = np.linspace(0, len(items) - 1, min(self.num_queries, len(items)), dtype=int)
        panels = [self._panel(items[own], own, video, dataset) for own in chosen]
        mkdir_or_exist(self.out_dir)
        path = osp.join(self.out_dir, 'retrieval.png')
        _stack(panels, columns=2).save(path)
        runner.logger.info(f'queries and their best videos are drawn in {path}')

    def _panel(self, item: dict, own: int, video: np.ndarray, dataset) -> Image.Image:
        """Draw the first caption of one video and what it finds."""
        scores = video @ item['text'][0]
        best = np.argsort(-scores, kind='stable')[:self.top_k]
        rank = int((scores >= scores[own]).sum())
        strips = [self._strip(dataset[int(index)]['inputs']) for index in best]
        text_height, label, size = 40, 56, self.frame_size
        panel = Image.new('RGB', (label + max(strip.width for strip in strips) + 12,
                                  text_height + len(strips) * (size + 8) + 8), _PAPER)
        draw = ImageDraw.Draw(panel)
        draw.text((8, 4), f'"{item["captions"][0]}"', _INK, ImageFont.load_default(15))
        draw.text((8, 22), f'the right video has rank {rank} of {len(video)}', _INK,
                  ImageFont.load_default(12))
        for row, (index, strip) in enumerate(zip(best, strips)):
            top = text_height + row * (size + 8)
            panel.paste(strip, (label, top))
            draw.text((8, top + size // 2 - 14), f'{row + 1}\n{scores[index]:.2f}', _INK,
                      ImageFont.load_default(12))
            is_right = index == own
            draw.rectangle((label - 3, top - 3, label + strip.width + 2, top + size + 2),
                           outline=_RIGHT if is_right else _LINE, width=3 if is_right else 1)
        return panel

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


def _stack(panels: list[Image.Image], columns: int) -> Image.Image:
    """Arrange panels in columns, row by row."""
    width, height = max(p.width for p in panels), max(p.height for p in panels)
    rows = -(-len(panels) // columns)
    sheet = Image.new('RGB', (width * min(columns, len(panels)), height * rows), _PAPER)
    for number, panel in enumerate(panels):
        sheet.paste(panel, (number % columns * width, number // columns * height))
    return sheet
