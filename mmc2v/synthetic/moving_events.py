"""Moving events: generated videos whose captions ask for different abilities, kind by kind.

=========  =====================================  ================================  ==============
kind       what the caption tells                 its twin (frames in reverse)      bound for R@1
                                                                                    without time
=========  =====================================  ================================  ==============
static     colour, shape and background           none                              100 %
direction  and 'moves left'                       'moves right'                     half of pair R@1
order      two shapes, 'first A, then B'          'first B, then A'                 half of pair R@1
size       and 'grows'                            'shrinks'                         half of pair R@1
speed      and 'gets faster', on a diagonal       'gets slower'                     half of pair R@1
=========  =====================================  ================================  ==============

Twins have the same frames, so a model that sees frames as a set gives both the same embedding:
whichever of the two captions it prefers, one of two queries is wrong. Pair R@1 counts either twin.
Every description fits one kind alone: what rests does not move, and what moves along a diagonal
moves neither left nor right nor up nor down.
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

KINDS = ('static', 'direction', 'order', 'size', 'speed')
# What is said of the frames in one order, and in the other; the former is drawn.
CHANGES = {'static': [('', '')], 'direction': [('right', 'left'), ('down', 'up')],
           'order': [('then', 'after')], 'size': [('grows', 'shrinks')],
           'speed': [('faster', 'slower')]}
PHRASINGS = {
    'static': ('a {color} {shape} rests on a {background} background',
               'on a {background} background there lies a {color} {shape}',
               'the background is {background}, and the {shape} that stays still is {color}',
               'a still {shape}, {color}, before something {background}'),
    'direction': ('a {color} {shape} moves {change} over a {background} background',
                  'on a {background} background, a {color} {shape} slides {change}',
                  '{change} goes the {color} {shape}, and the background is {background}',
                  'the {shape} that drifts {change} is {color}; behind it everything is '
                  '{background}'),
    'order': ('first a {color} {shape}, then a {color2} {shape2} on a {background} background',
              'on a {background} background, a {color} {shape} is followed by a {color2} {shape2}',
              'a {color} {shape} before a {color2} {shape2}; behind them everything is '
              '{background}',
              'it starts as a {color} {shape} and ends as a {color2} {shape2}, and the background '
              'is {background}'),
    'size': ('a {color} {shape} {change} on a {background} background',
             'on a {background} background, a {color} {shape} {change}',
             'it {change}, the {color} {shape}, and the background is {background}',
             'the {shape} that {change} is {color}; behind it everything is {background}'),
    'speed': ('a {color} {shape} gets {change} and {change} on a {background} background',
              'on a {background} background, a {color} {shape} becomes {change}',
              '{change} and {change} runs the {color} {shape}, and the background is {background}',
              'the {shape} that turns {change} is {color}; behind it everything is {background}'),
}


class Event(NamedTuple):
    """What a video shows.

    Attributes:
        kind (str): One of :data:`KINDS`.
        color (str): Of the shape, or of the first of two.
        shape (str): Likewise.
        background (str): Behind it.
        change (str): What changes; see :data:`CHANGES`.
        color2 (str): Of the second shape, where the kind is 'order'.
        shape2 (str): Likewise.
    """

    kind: str
    color: str
    shape: str
    background: str
    change: str = ''
    color2: str = ''
    shape2: str = ''

    def caption(self, phrasing: int) -> str:
        """Say it in one of the phrasings."""
        phrasings = PHRASINGS[self.kind]
        return phrasings[phrasing % len(phrasings)].format(**self._asdict())

    def twin(self) -> 'Event':
        """Describe the same frames in reverse order."""
        if self.kind == 'order':
            return self._replace(color=self.color2, shape=self.shape2, color2=self.color,
                                 shape2=self.shape, change=_other(self))
        return self._replace(change=_other(self))

    @property
    def is_drawn(self) -> bool:
        """Whether it is what is drawn; otherwise its twin is drawn, and reversed."""
        return any(self.change == drawn for drawn, _ in CHANGES[self.kind])


def _other(event: Event) -> str:
    for pair in CHANGES[event.kind]:
        if event.change in pair:
            return pair[1 - pair.index(event.change)]
    raise AssertionError(event)


def drawn_events(kind: str) -> list[Event]:
    """List everything of a kind whose frames are drawn, in a fixed order."""
    looks = itertools.product(COLORS, SHAPES, BACKGROUNDS)
    if kind != 'order':
        return [Event(kind, *look, change) for look in looks for change, _ in CHANGES[kind]]
    # both the colour and the shape differ, so that neither has to be bound to the other
    return [Event(kind, *look, 'then', *other) for look in looks
            for other in itertools.product(COLORS, SHAPES) if look[0] < other[0]
            and look[1] != other[1]]


@dataclass(frozen=True)
class MovingEvents:
    """What is generated; equal values give equal pixels.

    Args:
        num_train (int): Training videos of each kind; one of two is a reversed one.
        num_test_pairs (int): Pairs of twins of each kind in the test set, at most 120, all
            captions distinct; as many videos of the static kind.
        phrasings (int): Captions of each video, 1 to 4.
        num_frames (int): Frames a video, even, at 5 fps, so that the published sampling takes all.
        size (int): Side of the square frames in pixels, even.
        seed (int): Seed of all random choices, not negative.
    """

    num_train: int = 768
    num_test_pairs: int = 96
    phrasings: int = 2
    num_frames: int = 8
    size: int = 64
    seed: int = 0

    name: ClassVar[str] = 'moving_events'
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        refuse_below(self, num_train=1, num_frames=2, seed=0)
        for name, low, high in (('num_test_pairs', 1, len(drawn_events('static'))),
                                ('phrasings', 1, 4)):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f'{name} must be {low} to {high}, got {getattr(self, name)}')
        if self.size % 2 or self.size < 16 or self.num_frames % 2:
            raise ValueError('size and num_frames must be even and size at least 16, got '
                             f'{self.size} and {self.num_frames}')

    @property
    def sizes(self) -> dict[str, int]:
        """Number of videos of each split."""
        return dict(train=len(KINDS) * self.num_train,
                    test=(2 * len(KINDS) - 1) * self.num_test_pairs)

    def videos(self, split: str) -> Iterator[ShapeVideo]:
        """Draw the videos of 'train' or 'test', all kinds mixed.

        Twins of the test are scattered, and either may come first, so that no order of files tells
        them apart.
        """
        entries = list(self._training_entries() if split == 'train' else self._test_entries())
        order = np.random.default_rng((self.seed, split == 'test')).permutation(len(entries))
        for index in order:
            event, group, seed = entries[index]
            rng = np.random.default_rng((self.seed, *seed))
            frames = draw_event(event, self, rng)
            rng = np.random.default_rng((self.seed, *seed, event.is_drawn))
            chosen = rng.permutation(4)[:self.phrasings]
            yield ShapeVideo(frames, [event.caption(int(way)) for way in chosen], group,
                             event.kind)

    def _training_entries(self) -> Iterator[tuple[Event, str, tuple]]:
        for number, kind in enumerate(KINDS):
            events = drawn_events(kind)
            chosen = np.random.default_rng((self.seed, 2, number)).permutation(len(events))
            for index in range(self.num_train):
                # each event and its twin by turns, so that both recur equally often
                event = events[chosen[index // 2 % len(events)]]
                event = event.twin() if index % 2 else event
                yield event, ' '.join(event), (3, number, index)

    def _test_entries(self) -> Iterator[tuple[Event, str, tuple]]:
        for number, kind in enumerate(KINDS):
            events = drawn_events(kind)
            chosen = np.random.default_rng((self.seed, 4, number)).permutation(len(events))
            for pair in range(self.num_test_pairs):
                event = events[chosen[pair]]
                twins = [event] if kind == 'static' else [event, event.twin()]
                for shown in twins:
                    yield shown, f'{kind} {pair}', (5, number, pair)


def draw_event(event: Event, spec: MovingEvents, rng: np.random.Generator) -> np.ndarray:
    """Draw (num_frames, size, size, 3) uint8 frames.

    One of two twins is drawn and the other is its frames in reverse, so that both have the same
    distribution of sets of frames.
    """
    if not event.is_drawn:
        return draw_event(event.twin(), spec, rng)[::-1]
    size, num_frames = spec.size, spec.num_frames
    radii = np.full(num_frames, rng.uniform(0.16, 0.2) * size)
    centers = np.tile(rng.uniform(0.42, 0.58, 2) * size, (num_frames, 1))
    background = draw_background(event.background, size, rng)
    colors = [jitter_color(event.color, rng)] * num_frames
    shapes = [event.shape] * num_frames
    steps = np.linspace(0, 1, num_frames)[:, None]
    if event.kind == 'direction':
        length = rng.uniform(0.52, 0.62) * size
        centers += (steps - 0.5) * length * np.array(DIRECTIONS[event.change])
    elif event.kind == 'speed':
        diagonal = rng.uniform(0.4, 0.48) * size * rng.choice([-1, 1], 2)
        centers += (steps ** 2 - 0.5) * diagonal
    elif event.kind == 'size':
        radii *= np.linspace(0.5, 1.5, num_frames)
    elif event.kind == 'order':
        half = num_frames // 2
        shapes[half:] = [event.shape2] * half
        colors[half:] = [jitter_color(event.color2, rng)] * half
        centers[half:] = rng.uniform(0.42, 0.58, 2) * size
    return draw_frames(background, shapes, colors, centers, radii)
