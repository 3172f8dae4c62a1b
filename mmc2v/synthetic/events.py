"""What a generated video shows, how it is said, and its frames.

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
from typing import NamedTuple

import numpy as np

from .drawing import BACKGROUNDS, COLORS, SHAPES, draw_background, draw_frames, jitter_color

KINDS = ('static', 'direction', 'order', 'size', 'speed')
DIRECTIONS = {'left': (-1, 0), 'right': (1, 0), 'up': (0, -1), 'down': (0, 1)}
# The changes of each kind that are drawn, and what any change is in reverse.
DRAWN = {'static': ('',), 'direction': ('right', 'down'), 'order': ('then',), 'size': ('grows',),
         'speed': ('faster',)}
REVERSED = {'': '', 'left': 'right', 'right': 'left', 'up': 'down', 'down': 'up', 'then': 'after',
            'after': 'then', 'grows': 'shrinks', 'shrinks': 'grows', 'faster': 'slower',
            'slower': 'faster'}
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
        change (str): What changes, one of :data:`REVERSED`.
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
        """Say it in one of four phrasings."""
        return PHRASINGS[self.kind][phrasing].format(**self._asdict())

    def twin(self) -> 'Event':
        """Describe the same frames in reverse order."""
        twin = self._replace(change=REVERSED[self.change])
        if self.kind == 'order':
            return twin._replace(color=self.color2, shape=self.shape2, color2=self.color,
                                 shape2=self.shape)
        return twin

    @property
    def look(self) -> str:
        """Everything but what changes; twins share it, and all directions of a shape."""
        drawn = self if self.is_drawn else self.twin()
        return ' '.join(word for word in drawn._replace(change='') if word)

    @property
    def is_drawn(self) -> bool:
        """Whether it is what is drawn; otherwise its twin is drawn, and reversed."""
        return self.change in DRAWN[self.kind]


def drawn_events(kind: str) -> list[Event]:
    """List everything of a kind whose frames are drawn, in a fixed order."""
    looks = itertools.product(COLORS, SHAPES, BACKGROUNDS)
    if kind != 'order':
        return [Event(kind, *look, change) for look in looks for change in DRAWN[kind]]
    # both the colour and the shape differ, so that neither has to be bound to the other
    return [Event(kind, *look, 'then', *other) for look in looks
            for other in itertools.product(COLORS, SHAPES) if look[0] < other[0]
            and look[1] != other[1]]


def draw_event(event: Event, num_frames: int, size: int, rng: np.random.Generator,
               length_first: bool = False) -> np.ndarray:
    """Draw an event.

    One of two twins is drawn and the other is its frames in reverse, so that both have the same
    distribution of sets of frames. A path is drawn by its middle, near the centre, so that the axis
    of motion shows in where the shape is seen, and its direction in order alone.

    Args:
        event (Event): What to show.
        num_frames (int): Frames; even for the kind 'order'.
        size (int): Side of the square frames in pixels.
        rng (np.random.Generator): Of colours, places and sizes.
        length_first (bool): Take the length of a straight path from ``rng`` before its middle, and
            not after all else. Defaults to False.

    Returns:
        np.ndarray: (num_frames, size, size, 3) uint8.
    """
    if not event.is_drawn:
        return draw_event(event.twin(), num_frames, size, rng, length_first)[::-1]
    radii = np.full(num_frames, rng.uniform(0.16, 0.2) * size)
    length = rng.uniform(0.52, 0.62) if length_first else None
    centers = np.tile(rng.uniform(0.42, 0.58, 2) * size, (num_frames, 1))
    background = draw_background(event.background, size, rng)
    colors = [jitter_color(event.color, rng)] * num_frames
    shapes = [event.shape] * num_frames
    steps = np.linspace(0, 1, num_frames)[:, None]
    if event.kind == 'direction':
        length = (length or rng.uniform(0.52, 0.62)) * size
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
