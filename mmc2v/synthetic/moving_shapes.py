"""Moving shapes: small captioned videos in which only the order of frames tells direction.

Every test video has a twin that shows the same frames in reverse order, and the captions of both
are in the set. A model that is blind to time cannot tell twins apart: the expected R@1 of its best
guesses is half of its pair R@1 (either twin counts), so at most 50 %.
"""
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from .writing import (
    BACKGROUNDS,
    COLORS,
    DIRECTIONS,
    SHAPES,
    ShapeVideo,
    draw_background,
    draw_frames,
    jitter_color,
    refuse_below,
)

OPPOSITE = {'left': 'right', 'right': 'left', 'up': 'down', 'down': 'up'}
CLASSES = ('left', 'right', 'up', 'down')  # of action recognition, in the order of labels
PHRASINGS = (
    'a {color} {shape} moves {direction} over a {background} background',
    'on a {background} background, a {color} {shape} slides {direction}',
    '{direction} goes the {color} {shape}, and the background is {background}',
    'the {shape} that drifts {direction} is {color}; behind it everything is {background}',
)


class Description(NamedTuple):
    """What a video shows; the product of all values makes 480."""

    color: str
    shape: str
    background: str
    direction: str

    def reversed(self) -> 'Description':
        """Describe the same frames in reverse order."""
        return self._replace(direction=OPPOSITE[self.direction])

    def caption(self, phrasing: int) -> str:
        """Say it in one of the phrasings."""
        return PHRASINGS[phrasing % len(PHRASINGS)].format(**self._asdict())


DESCRIPTIONS = [Description(*values) for values in
                itertools.product(COLORS, SHAPES, BACKGROUNDS, DIRECTIONS)]


@dataclass(frozen=True)
class MovingShapes:
    """What is generated; equal values give equal pixels.

    Args:
        num_train (int): Training videos; descriptions recur equally often.
        num_test_pairs (int): Pairs of twins in the test set, at most 240, all captions distinct.
        num_frames (int): Frames a video, at 5 fps, so that the published sampling takes them all.
        size (int): Side of the square frames in pixels, even.
        seed (int): Seed of all random choices, not negative.
    """

    num_train: int = 3840
    num_test_pairs: int = 128
    num_frames: int = 8
    size: int = 64
    seed: int = 0

    name: ClassVar[str] = 'moving_shapes'
    version: ClassVar[int] = 3

    def __post_init__(self) -> None:
        refuse_below(self, num_train=1, num_frames=1, seed=0)
        if not 1 <= self.num_test_pairs <= len(DESCRIPTIONS) // 2:
            raise ValueError(f'num_test_pairs must be 1 to {len(DESCRIPTIONS) // 2}, '
                             f'got {self.num_test_pairs}')
        if self.size % 2 or self.size < 16:
            raise ValueError(f'size must be even and at least 16, got {self.size}')

    @property
    def sizes(self) -> dict[str, int]:
        """Number of videos of each split."""
        return dict(train=self.num_train, test=2 * self.num_test_pairs)

    def videos(self, split: str) -> Iterator[ShapeVideo]:
        """Draw the videos of 'train', or of 'test' with twins one after the other."""
        return self._training_videos() if split == 'train' else self._test_videos()

    def _training_videos(self) -> Iterator[ShapeVideo]:
        for index in range(self.num_train):
            rng = np.random.default_rng((self.seed, 0, index))
            description = DESCRIPTIONS[index % len(DESCRIPTIONS)]
            caption = description.caption(int(rng.integers(len(PHRASINGS))))
            yield ShapeVideo(draw_video(description, self, rng), [caption], ' '.join(description),
                             label=CLASSES.index(description.direction))

    def _test_videos(self) -> Iterator[ShapeVideo]:
        forward = [d for d in DESCRIPTIONS if d.direction in ('right', 'down')]
        chosen = np.random.default_rng((self.seed, 1)).permutation(len(forward))
        for pair in range(self.num_test_pairs):
            rng = np.random.default_rng((self.seed, 2, pair))
            description = forward[chosen[pair]]
            frames = draw_video(description, self, rng)
            for shown, order in ((description, 1), (description.reversed(), -1)):
                caption = shown.caption(int(rng.integers(len(PHRASINGS))))
                yield ShapeVideo(frames[::order], [caption], f'pair {pair}',
                                 label=CLASSES.index(shown.direction))


def draw_video(description: Description, spec: MovingShapes,
               rng: np.random.Generator) -> np.ndarray:
    """Draw (num_frames, size, size, 3) uint8 frames.

    The path is straight and passed at constant speed, and its middle is drawn, not its start, so
    that the reversed frames are as likely as the frames themselves. It lies near the centre, so
    that the axis of motion shows in where the shape is seen; its direction shows in order alone.
    """
    size, num_frames = spec.size, spec.num_frames
    radius = rng.uniform(0.16, 0.2) * size
    path = rng.uniform(0.52, 0.62) * size * np.array(DIRECTIONS[description.direction])
    middle = rng.uniform(0.42, 0.58, 2) * size
    background = draw_background(description.background, size, rng)
    color = jitter_color(description.color, rng)
    return draw_frames(
        background, [description.shape] * num_frames, [color] * num_frames,
        [middle + progress * path for progress in np.linspace(-0.5, 0.5, num_frames)],
        [radius] * num_frames)
