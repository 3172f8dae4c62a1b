"""Long videos with known moments: events of the test set joined to minutes, with idle time between.

Both twins of a pair are in one video, so a caption and its reversed twin happen in the same file:
only a model that sees order finds the right one of the two.
"""
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from mmc2v.whole_files import make_whole_folder, to_json

from .drawing import BACKGROUNDS, draw_background
from .moving_events import MovingEvents, MovingShapes, SyntheticVideo
from .writing import is_written, write_video


class LongVideo(NamedTuple):
    """A video and what happens in it.

    Attributes:
        frames (np.ndarray): (F, S, S, 3) uint8.
        moments (list[dict]): ``caption``, ``group`` (the pair of twins), ``start`` and ``end`` in
            seconds.
    """

    frames: np.ndarray
    moments: list[dict]


@dataclass(frozen=True)
class LongVideos:
    """What is generated; equal values give equal pixels.

    Args:
        num_pairs (int): Pairs of twins, each in one video. At most 240.
        pairs_per_video (int): Pairs of a video. Defaults to 6, so 12 events.
        most_idle (float): Seconds between two events, at most; at least a fifth of it.
        seed (int): Of all random choices.
        size (int): Side of the square frames in pixels, even and at least 16.

    Raises:
        ValueError: If one of them is out of its range.
    """

    num_pairs: int = 120
    pairs_per_video: int = 6
    most_idle: float = 3.0
    seed: int = 0
    size: int = 64

    fps = 5
    version = 1

    def __post_init__(self) -> None:
        if not 1 <= self.pairs_per_video <= self.num_pairs <= 240 or self.most_idle < 1:
            raise ValueError('there are 1 to 240 pairs, no more of them in a video than in all, '
                             f'with idle time of 1 s at most or more; got {asdict(self)}')

    def videos(self) -> Iterator[LongVideo]:
        """Draw them; the last one may be shorter."""
        pairs: dict[str, list[SyntheticVideo]] = {}
        spec: MovingEvents = MovingShapes(num_train=1, num_test_pairs=self.num_pairs,
                                          seed=self.seed, size=self.size)
        for video in spec.videos('test'):
            pairs.setdefault(video.group, []).append(video)
        ordered = list(pairs.values())
        for start in range(0, len(ordered), self.pairs_per_video):
            events = [video for pair in ordered[start:start + self.pairs_per_video]
                      for video in pair]
            yield self._joined(events, np.random.default_rng((self.seed, 7, start)), spec.size)

    def _joined(self, events: list[SyntheticVideo], rng: np.random.Generator,
                size: int) -> LongVideo:
        parts, moments, place = [self._idle(rng, size)], [], 0
        for index in rng.permutation(len(events)):
            place += len(parts[-1])
            parts.append(events[index].frames)
            start, place = place, place + len(parts[-1])
            moments.append(dict(caption=events[index].captions[0], group=events[index].group,
                                start=start / self.fps, end=place / self.fps))
            parts.append(self._idle(rng, size))
        return LongVideo(np.concatenate(parts), moments)

    def _idle(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Return frames in which nothing is seen but a background."""
        background = draw_background(str(rng.choice(list(BACKGROUNDS))), size, rng)
        count = rng.integers(self.most_idle * self.fps / 5, self.most_idle * self.fps + 1)
        return np.repeat(np.asarray(background, np.uint8)[None], count, axis=0)


def write_long_videos(folder: Path, spec: LongVideos, overwrite: bool = False) -> bool:
    """Write ``long000.mp4`` and so on, and ``moments.json``: what happens when in each.

    Args:
        folder (Path): Where to; made whole elsewhere and moved there when finished.
        spec (LongVideos): What to generate.
        overwrite (bool): Replace long videos made with other numbers. Defaults to False.

    Returns:
        bool: True if it was written, False if the same is there already.

    Raises:
        ValueError: If the folder exists and holds something else.
    """
    record = dict(asdict(spec), format=spec.version)
    marker = folder / 'long_videos.json'
    if is_written(marker, record, 'long videos', overwrite):
        return False
    with make_whole_folder(folder) as made:
        moments = {}
        for index, video in enumerate(tqdm(spec.videos(), desc='long videos', mininterval=1,
                                           total=-(-spec.num_pairs // spec.pairs_per_video))):
            name = f'long{index:03d}.mp4'
            write_video(made / name, video.frames, spec.fps)
            moments[name] = video.moments
        (made / 'moments.json').write_bytes(to_json(moments))
        (made / marker.name).write_text(json.dumps(record))
    return True
