"""The picture of the moments that a search found."""
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from search_output import clock, shown
from visualizations.picture_text import font, shorten, wrap

from mmc2v.datasets.transforms import ResizeCenterCrop
from mmc2v.datasets.transforms.sampling import frames_at
from mmc2v.search import Moment, VideoHit
from mmc2v.video import BACKENDS, VideoDecodeError
from mmc2v.whole_files import open_whole

_PAPER, _INK, _FAINT = (255, 255, 255), (20, 20, 20), (110, 110, 110)
_FRAMES, _SIZE, _MARGIN, _LINE = 6, 112, 12, 18  # frames of a moment; the rest in pixels


def draw_moments(hits: Sequence[VideoHit], query: str, path: Path) -> None:
    """Draw frames of each moment, one moment a row.

    Args:
        hits (Sequence[VideoHit]): The best first.
        query (str): What was asked, for the title.
        path (Path): PNG to write.
    """
    width = 2 * _MARGIN + _FRAMES * (_SIZE + 2)
    title = wrap(query, font(16), width - 2 * _MARGIN)
    rows = [(rank, hit, moment) for rank, hit in enumerate(hits, 1) for moment in hit.moments]
    height = _MARGIN + len(title) * (_LINE + 4) + len(rows) * (_SIZE + _LINE + _MARGIN) + _MARGIN
    picture = Image.new('RGB', (width, height), _PAPER)
    draw = ImageDraw.Draw(picture)
    top = _MARGIN
    for line in title:
        draw.text((_MARGIN, top), line, _INK, font(16))
        top += _LINE + 4
    for rank, hit, moment in rows:
        label = (f'{rank}.  {clock(moment.start)} - {clock(moment.end)}   {moment.score:.3f}   '
                 f'{moment.stands_out:+.1f} sd   ')
        name = shorten(shown(Path(hit.paths[0]).name), font(12), width - 2 * _MARGIN
                       - int(draw.textlength(label, font(12))))
        draw.text((_MARGIN, top), label + name, _INK, font(12))
        top += _LINE
        for number, frame in enumerate(_frames(hit.paths[0], moment)):
            place = (_MARGIN + number * (_SIZE + 2), top)
            if isinstance(frame, str):
                draw.text(place, shorten(frame, font(12), width - 2 * _MARGIN), _FAINT, font(12))
            else:
                picture.paste(Image.fromarray(frame), place)
        top += _SIZE + _MARGIN
    with open_whole(path) as file:
        picture.save(file, 'PNG')


def _frames(path: str, moment: Moment) -> list[np.ndarray | str]:
    """Return frames evenly spread over a moment, or why there are none."""
    try:
        reader = BACKENDS['pyav'](path, 0.9)
        try:
            instants = np.linspace(moment.start, moment.end, 2 * _FRAMES + 1)[1::2]
            images = reader.read(frames_at(reader.times + reader.delay, instants))
        finally:
            reader.close()
    except (OSError, VideoDecodeError) as error:
        return [str(error)]
    return ResizeCenterCrop(_SIZE)(dict(imgs=images))['imgs']
