"""Pairs of videos that differ in the order of their frames alone, and what is said of each.

Of each pair there are two descriptions, of a video and of its twin, worded alike, and two drawings:
other colours, places and sizes of the same. The kind 'static' is the control: its two videos differ
in a colour, which any model can see that sees looks.

n pairs, P phrasings, R drawings.
"""
import itertools
import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Union

import numpy as np
from tqdm import tqdm

from mmc2v.strict_text import parse_json
from mmc2v.whole_files import make_whole_folder, to_json

from .drawing import BACKGROUNDS, COLORS, SHAPES
from .events import KINDS, Event, draw_event, drawn_events
from .moving_events import refuse_out_of_range
from .writing import is_written, write_video

CONTROL = 'static'  # the kind that needs no order
_FORMAT = 1


class TwinPair(NamedTuple):
    """Two descriptions and their videos.

    Attributes:
        kind (str): One of :data:`~mmc2v.synthetic.events.KINDS`.
        captions (tuple): For each of the two its P sentences; the same phrasings in the same order.
        drawings (tuple): For each of the two its R videos, (F, S, S, 3) uint8 each. Those of one
            drawing are each other's frames in reverse order, unless the kind is the control.
    """

    kind: str
    captions: tuple[list[str], list[str]]
    drawings: tuple[list[np.ndarray], list[np.ndarray]]


@dataclass(frozen=True)
class TwinPairs:
    """What is generated; equal values give equal pixels.

    Args:
        num_pairs (int): Pairs of each kind, all descriptions distinct, 1 to 120; of the control
            at most 60.
        phrasings (int): P, sentences for each description, 1 to 4.
        num_frames (int): Frames a video, even, at 5 fps.
        size (int): Side of the square frames in pixels, even and at least 16.
        seed (int): Seed of all random choices, not negative.

    Raises:
        ValueError: If one of them is out of its range.
    """

    num_pairs: int = 96
    phrasings: int = 2
    num_frames: int = 8
    size: int = 64
    seed: int = 0

    num_drawings: ClassVar[int] = 2

    def __post_init__(self) -> None:
        refuse_out_of_range(self, ('num_frames', 'size'), (
            ('num_pairs', 1, 120), ('phrasings', 1, 4), ('num_frames', 2, math.inf),
            ('size', 16, math.inf), ('seed', 0, math.inf)))

    @property
    def num_videos(self) -> int:
        """Number of videos of all kinds."""
        of_control = min(self.num_pairs, len(COLORS) * len(SHAPES) * len(BACKGROUNDS) // 2)
        return 2 * self.num_drawings * ((len(KINDS) - 1) * self.num_pairs + of_control)

    def pairs(self) -> Iterator[TwinPair]:
        """Draw the pairs, kind by kind."""
        for number, kind in enumerate(KINDS):
            rng = np.random.default_rng((self.seed, 8, number))
            described = _control_pairs(rng) if kind == CONTROL else [
                (event, event.twin()) for event in drawn_events(kind)]
            chosen = rng.permutation(len(described))[:self.num_pairs]
            for index, pair in enumerate(chosen):
                phrasings = rng.permutation(4)[:self.phrasings]
                yield TwinPair(kind, tuple([event.caption(way) for way in phrasings]
                                           for event in described[pair]),
                               tuple(self._drawings(event, (number, index))
                                     for event in described[pair]))

    def _drawings(self, event: Event, pair: tuple[int, int]) -> list[np.ndarray]:
        """Draw an event; both of a pair take the same random numbers."""
        return [draw_event(event, self.num_frames, self.size,
                           np.random.default_rng((self.seed, 9, *pair, drawing)))
                for drawing in range(self.num_drawings)]


def _control_pairs(rng: np.random.Generator) -> list[tuple[Event, Event]]:
    """Return pairs of static events that differ in colour, every event in one pair."""
    pairs = []
    for shape, background in itertools.product(SHAPES, BACKGROUNDS):
        colors = rng.permutation(list(COLORS)).tolist()
        events = [Event(CONTROL, color, shape, background) for color in colors]
        pairs += zip(events[::2], events[1::2])
    return pairs


class TwinSet(NamedTuple):
    """Pairs as files.

    Attributes:
        folder (Path): Of the videos.
        videos (list[str]): Names in it.
        captions (list[str]): Sentences.
        kinds (list[str]): Kind of each of the n pairs.
        video_index (np.ndarray): (n, 2, R) which videos are a pair's.
        caption_index (np.ndarray): (n, 2, P) which captions.
        made_with (dict): Numbers of :class:`TwinPairs`, empty for other videos.
    """

    folder: Path
    videos: list[str]
    captions: list[str]
    kinds: list[str]
    video_index: np.ndarray
    caption_index: np.ndarray
    made_with: dict[str, Any]

    @property
    def paths(self) -> list[str]:
        """Files of the videos."""
        return [str(self.folder / name) for name in self.videos]


def write_twin_pairs(folder: Path, spec: TwinPairs, overwrite: bool = False) -> bool:
    """Write the videos, and ``pairs.json``, which says what belongs together.

    ``captions`` and ``videos`` are lists; each element of ``pairs`` has its ``kind``, and under
    ``captions`` and ``videos`` two lists of places in those: what is right for one, and for its
    twin. Places of videos are drawn at random, so that no order of them tells twins apart.

    Args:
        folder (Path): Where to; made whole elsewhere and moved there when finished.
        spec (TwinPairs): What to generate.
        overwrite (bool): Replace pairs made with other numbers. Defaults to False.

    Returns:
        bool: True if it was written, False if the same is there already.

    Raises:
        ValueError: If the folder exists and holds something else.
    """
    record = dict(asdict(spec), format=_FORMAT)
    marker = folder / 'twin_pairs.json'
    if is_written(marker, record, 'pairs of twins', overwrite):
        return False
    with make_whole_folder(folder) as made:
        names = [f'{place:05d}.mp4' for place in range(spec.num_videos)]
        free = np.random.default_rng((spec.seed, 10)).permutation(spec.num_videos).tolist()
        captions, pairs = [], []
        for pair in tqdm(spec.pairs(), desc='pairs of videos', mininterval=1,
                         total=spec.num_videos // 2 // spec.num_drawings):
            entry = dict(kind=pair.kind, videos=[], captions=[])
            for drawings, sentences in zip(pair.drawings, pair.captions):
                entry['videos'].append([free.pop() for _ in drawings])
                for place, frames in zip(entry['videos'][-1], drawings):
                    write_video(made / names[place], frames)
                entry['captions'].append(list(range(len(captions), len(captions) + spec.phrasings)))
                captions += sentences
            pairs.append(entry)
        (made / 'pairs.json').write_bytes(to_json(dict(
            made_with=record, videos=names, captions=captions, pairs=pairs)))
        (made / marker.name).write_text(json.dumps(record))
    return True


def read_twin_pairs(folder: Union[str, Path]) -> TwinSet:
    """Read ``pairs.json``, whoever wrote it.

    Args:
        folder (str | Path): With the videos and the file.

    Raises:
        FileNotFoundError: If there is no such file, or a video is missing.
        ValueError: If it is not as :func:`write_twin_pairs` says.
    """
    path = Path(folder) / 'pairs.json'
    if not path.is_file():
        raise FileNotFoundError(f"'{path}' is not a file; tools/analysis_tools/order_benchmark.py "
                                'makes it, with the videos')
    content = parse_json(path.read_text(encoding='utf-8'), path)
    try:
        videos, captions = ([str(item) for item in content[key]] for key in ('videos', 'captions'))
        kinds = [str(pair['kind']) for pair in content['pairs']]
        indices = [_places([pair[key] for pair in content['pairs']], len(listed))
                   for key, listed in (('videos', videos), ('captions', captions))]
        made_with = dict(content.get('made_with', {}))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"'{path}' must hold the lists 'videos', 'captions' and 'pairs', with "
                         "'kind', and 'videos' and 'captions' as two lists each of as many "
                         f'places in those, for every pair; {type(error).__name__}: {error}'
                         ) from error
    missing = [name for name in videos if not (Path(folder) / name).is_file()]
    if missing:
        raise FileNotFoundError(f"'{folder}' lacks {len(missing)} videos of pairs.json, the first "
                                f"is '{missing[0]}'")
    return TwinSet(Path(folder), videos, captions, kinds, *indices, made_with)


def _places(lists: list, length: int) -> np.ndarray:
    """Return (n, 2, K) places in a list of so many elements."""
    places = np.array(lists)
    if places.dtype.kind != 'i' or places.ndim != 3 or places.shape[1] != 2 or not places.size:
        raise ValueError(f'places of shape {places.shape}')
    if places.min() < 0 or places.max() >= length:
        raise ValueError(f'places from {places.min()} to {places.max()} of {length}')
    return places
