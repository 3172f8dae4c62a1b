"""Data sets of generated videos: moving events of five kinds, and moving shapes of one.

Every test video but a static one has a twin that shows the same frames in reverse order, and the
captions of both are in the set; see :mod:`mmc2v.synthetic.events`. A quarter of the pairs that the
kind 'order' could show never meet in training, and the test asks for them as a kind of its own.
"""
import itertools
import math
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .drawing import BACKGROUNDS, COLORS, SHAPES
from .events import DIRECTIONS, KINDS, Event, draw_event, drawn_events

UNSEEN_ORDER = 'unseen_order'


class SyntheticVideo(NamedTuple):
    """A video, what is said of it, and what it is compared with.

    Attributes:
        event (Event): What it shows.
        kind (str): Of its caption: the event's, or 'unseen_order'.
        frames (np.ndarray): (F, S, S, 3) uint8.
        captions (list[str]): One or several.
        group (str): In training its description, in the test its pair of twins.
    """

    event: Event
    kind: str
    frames: np.ndarray
    captions: list[str]
    group: str


def refuse_out_of_range(spec: Any, even: Collection[str],
                        ranges: Iterable[tuple[str, int, float]]) -> None:
    """Refuse numbers of which nothing can be generated.

    Args:
        spec (Any): What has them, such as :class:`MovingEvents`.
        even (Collection[str]): Names of those that must be even.
        ranges (Iterable[tuple]): Name, least and greatest value of each.

    Raises:
        ValueError: With the first that is out of its range.
    """
    for name, least, most in ranges:
        value = getattr(spec, name)
        if not least <= value <= most or (name in even and value % 2):
            bounds = f'{least} to {most}' if most < math.inf else f'at least {least}'
            raise ValueError(f'{name} must be {"even and " * (name in even)}{bounds}, '
                             f'got {value}')


def events_of(kind: str) -> list[Event]:
    """List everything of a kind of captions whose frames are drawn, in a fixed order."""
    if kind not in ('order', UNSEEN_ORDER):
        return drawn_events(kind)
    return [event for event in drawn_events('order')
            if meets_in_test_alone(event) == (kind == UNSEEN_ORDER)]


def meets_in_test_alone(event: Event) -> bool:
    """Say whether the two shapes of a drawn event, in their colours, meet in the test alone.

    In either order and on any background. Any two colours, and any two shapes, meet in training.
    """
    numbers = [tuple(names).index(name) for names, name in (
        (COLORS, event.color), (COLORS, event.color2), (SHAPES, event.shape),
        (SHAPES, event.shape2))]
    return (numbers[0] + numbers[1] + numbers[2] + 2 * numbers[3]) % 4 == 0


@dataclass(frozen=True)
class MovingEvents:
    """What is generated; equal values give equal pixels.

    Training has five kinds, the test also 'unseen_order': a shape and another, both of their
    colours, that never follow each other in training.

    Args:
        num_train (int): Training videos of each kind; one of two is a reversed one.
        num_test_pairs (int): Pairs of twins of each kind in the test set, all captions distinct; as
            many videos of the static kind. At most 120, the number of those.
        phrasings (int): Captions of each video, 1 to 4.
        num_frames (int): Frames a video, even, at 5 fps, so that the published sampling takes all.
        size (int): Side of the square frames in pixels, even and at least 16.
        seed (int): Seed of all random choices, not negative.

    Raises:
        ValueError: If one of them is out of its range.
    """

    num_train: int = 768
    num_test_pairs: int = 96
    phrasings: int = 2
    num_frames: int = 8
    size: int = 64
    seed: int = 0

    name: ClassVar[str] = 'moving_events'
    version: ClassVar[int] = 3
    kinds: ClassVar[tuple[str, ...]] = KINDS  # of training
    test_kinds: ClassVar[tuple[str, ...]] = (*KINDS, UNSEEN_ORDER)

    def __post_init__(self) -> None:
        most_pairs = min(len(drawn_events(kind)) for kind in self.kinds)
        even = ('size', 'num_frames') if 'order' in self.kinds else ('size',)
        refuse_out_of_range(self, even, (
            ('num_train', 1, math.inf), ('num_test_pairs', 1, most_pairs), ('phrasings', 1, 4),
            ('num_frames', 1, math.inf), ('size', 16, math.inf), ('seed', 0, math.inf)))

    @property
    def sizes(self) -> dict[str, int]:
        """Number of videos of each split."""
        videos = sum(1 if kind == 'static' else 2 for kind in self.test_kinds)
        return dict(train=len(self.kinds) * self.num_train, test=videos * self.num_test_pairs)

    def videos(self, split: str) -> Iterator[SyntheticVideo]:
        """Draw the videos of 'train' or 'test'.

        All kinds are mixed. Twins of the test are scattered, and either may come first, so that no
        order of files tells them apart.
        """
        entries = list(self._entries(split))
        for index in np.random.default_rng((self.seed, split == 'test')).permutation(len(entries)):
            event, kind, group, seed = entries[index]
            rng = np.random.default_rng((self.seed, *seed))
            frames = draw_event(event, self.num_frames, self.size, rng)
            rng = np.random.default_rng((self.seed, *seed, event.is_drawn))
            captions = [event.caption(way) for way in rng.permutation(4)[:self.phrasings]]
            yield SyntheticVideo(event, kind, frames, captions, group)

    def _entries(self, split: str) -> Iterator[tuple[Event, str, str, tuple[int, int, int]]]:
        """Yield events with their kind, group and what their random choices are seeded by."""
        for number, kind in enumerate(self.kinds if split == 'train' else self.test_kinds):
            events = events_of(kind)
            chosen = np.random.default_rng(
                (self.seed, 2 if split == 'train' else 4, number)).permutation(len(events))
            if split == 'train':
                for index in range(self.num_train):
                    # each event and its twin by turns, so that both recur equally often
                    event = events[chosen[index // 2 % len(events)]]
                    event = event.twin() if index % 2 else event
                    yield event, kind, ' '.join(event), (3, number, index)
            else:
                for pair in range(self.num_test_pairs):
                    event = events[chosen[pair]]
                    for shown in dict.fromkeys((event, event.twin())):  # one where it is static
                        yield shown, kind, f'{kind} {pair}', (5, number, pair)


@dataclass(frozen=True)
class MovingShapes(MovingEvents):
    """Events of the kind 'direction' alone, in the order of their descriptions, twins side by side.

    Random numbers are taken in another order, because figures were published on these pixels.
    Only the order of frames tells the direction: the expected R@1 of the best guesses of a model
    that is blind to time is half of its pair R@1 (either twin counts), so at most 50 %.

    Args:
        num_train (int): Training videos; the 480 descriptions recur equally often.
        num_test_pairs (int): Pairs of twins in the test set, at most 240, all captions distinct.
        num_frames (int): Frames a video, at 5 fps, so that the published sampling takes them all.
        size (int): Side of the square frames in pixels, even and at least 16.
        seed (int): Seed of all random choices, not negative.
    """

    num_train: int = 3840
    num_test_pairs: int = 128
    phrasings: int = field(default=1, init=False)

    name: ClassVar[str] = 'moving_shapes'
    version: ClassVar[int] = 3
    kinds: ClassVar[tuple[str, ...]] = ('direction',)
    test_kinds: ClassVar[tuple[str, ...]] = kinds

    def videos(self, split: str) -> Iterator[SyntheticVideo]:
        """Draw the videos of 'train', or of 'test' with twins one after the other."""
        return self._training_videos() if split == 'train' else self._test_videos()

    def _training_videos(self) -> Iterator[SyntheticVideo]:
        events = [Event('direction', *values) for values in
                  itertools.product(COLORS, SHAPES, BACKGROUNDS, DIRECTIONS)]
        for index in range(self.num_train):
            rng = np.random.default_rng((self.seed, 0, index))
            event = events[index % len(events)]
            caption = event.caption(rng.integers(4))
            frames = draw_event(event, self.num_frames, self.size, rng, length_first=True)
            yield SyntheticVideo(event, event.kind, frames, [caption], ' '.join(event[1:5]))

    def _test_videos(self) -> Iterator[SyntheticVideo]:
        events = drawn_events('direction')
        chosen = np.random.default_rng((self.seed, 1)).permutation(len(events))
        for pair in range(self.num_test_pairs):
            rng = np.random.default_rng((self.seed, 2, pair))
            event = events[chosen[pair]]
            frames = draw_event(event, self.num_frames, self.size, rng, length_first=True)
            for shown, step in ((event, 1), (event.twin(), -1)):
                caption = shown.caption(rng.integers(4))
                yield SyntheticVideo(shown, shown.kind, frames[::step], [caption], f'pair {pair}')
