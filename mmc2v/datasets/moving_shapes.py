"""Moving shapes: small captioned videos in which only the order of frames tells direction.

Every test video has a twin that shows the same frames in reverse order, and the captions of both
are in the set. A model that is blind to time cannot tell twins apart: the expected R@1 of its best
guesses is half of its pair R@1 (either twin counts), so at most 50 %.
"""
import itertools
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from tqdm import tqdm

COLORS = {'red': (220, 40, 40), 'green': (40, 180, 60), 'blue': (50, 80, 230),
          'yellow': (240, 220, 50), 'purple': (160, 60, 190), 'white': (250, 250, 250),
          'cyan': (50, 210, 220), 'orange': (255, 140, 20)}
SHAPES = ('square', 'ring', 'cross')
BACKGROUNDS = ('plain', 'striped', 'checkered', 'dotted', 'shaded')
DIRECTIONS = {'left': (-1, 0), 'right': (1, 0), 'up': (0, -1), 'down': (0, 1)}
OPPOSITE = {'left': 'right', 'right': 'left', 'up': 'down', 'down': 'up'}
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

    def __post_init__(self) -> None:
        if not 1 <= self.num_test_pairs <= len(DESCRIPTIONS) // 2:
            raise ValueError(f'num_test_pairs must be 1 to {len(DESCRIPTIONS) // 2}, '
                             f'got {self.num_test_pairs}')
        if self.size % 2 or self.size < 16:
            raise ValueError(f'size must be even and at least 16, got {self.size}')


def _coverage(shape: str, x: np.ndarray, y: np.ndarray, radius: float) -> np.ndarray:
    """Return how much of each pixel a shape centred at 0 covers, in [0, 1], (H, W)."""
    if shape == 'square':
        distance = np.maximum(abs(x), abs(y)) - 0.9 * radius
    elif shape == 'ring':
        distance = abs(np.hypot(x, y) - 0.8 * radius) - 0.25 * radius
    else:
        distance = np.minimum(np.maximum(abs(x) - 0.3 * radius, abs(y) - 1.1 * radius),
                              np.maximum(abs(y) - 0.3 * radius, abs(x) - 1.1 * radius))
    return np.clip(0.5 - distance, 0, 1)


def _background(kind: str, size: int, rng: np.random.Generator) -> np.ndarray:
    """Return a dim (H, W, 3) background with random tint, period and phase."""
    y, x = np.mgrid[:size, :size].astype(np.float64)
    period, phase = rng.uniform(8, 14), rng.uniform(0, 14, 2)
    x, y = x + phase[0], y + phase[1]
    pattern = {
        'plain': np.zeros_like(x),
        'striped': np.sign(np.sin(2 * np.pi * (x + y) / period)),
        'checkered': np.sign(np.sin(2 * np.pi * x / period) * np.sin(2 * np.pi * y / period)),
        'dotted': np.where(np.hypot(x % period - period / 2, y % period - period / 2)
                           < period / 4, 1.0, -1.0),
        'shaded': 2 * (np.cos(phase[0]) * (x - x.mean()) + np.sin(phase[0]) * (y - y.mean()))
                  / size,
    }[kind]
    tint = rng.uniform(50, 110, 3)
    return tint + 38 * pattern[..., None]


def draw_video(description: Description, spec: MovingShapes,
               rng: np.random.Generator) -> np.ndarray:
    """Draw (num_frames, size, size, 3) uint8 frames.

    The path is straight and passed at constant speed, and its middle is drawn, not its start, so
    that the reversed frames are as likely as the frames themselves. It lies near the centre, so
    that the axis of motion shows in where the shape is seen; its direction shows in order alone.
    """
    size, radius = spec.size, rng.uniform(0.16, 0.2) * spec.size
    path = rng.uniform(0.52, 0.62) * size * np.array(DIRECTIONS[description.direction])
    middle = rng.uniform(0.42, 0.58, 2) * size
    background = _background(description.background, size, rng)
    color = np.array(COLORS[description.color]) + rng.uniform(-12, 12, 3)
    y, x = np.mgrid[:size, :size] + 0.5
    frames = []
    for progress in np.linspace(-0.5, 0.5, spec.num_frames):
        center = middle + progress * path
        share = _coverage(description.shape, x - center[0], y - center[1], radius)[..., None]
        frames.append(background * (1 - share) + color * share)
    return np.clip(np.round(frames), 0, 255).astype(np.uint8)


def write_video(path: Path, frames: np.ndarray, fps: int = 5) -> None:
    """Write frames as H.264 in mp4, lossless and every frame by itself.

    Args:
        path (Path): File to write.
        frames (np.ndarray): (F, H, W, 3) uint8 RGB, sides even.
        fps (int): Frames a second. Defaults to 5.
    """
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('libx264', rate=fps)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = 'yuv420p'
        stream.codec_context.thread_count = 1
        stream.options = {'qp': '0', 'preset': 'ultrafast', 'g': '1', 'bf': '0'}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format='rgb24')))
        container.mux(stream.encode())


def training_videos(spec: MovingShapes) -> Iterator[tuple[Description, int, np.ndarray]]:
    """Yield description, phrasing and frames of every training video."""
    for index in range(spec.num_train):
        rng = np.random.default_rng((spec.seed, 0, index))
        description = DESCRIPTIONS[index % len(DESCRIPTIONS)]
        yield description, int(rng.integers(len(PHRASINGS))), draw_video(description, spec, rng)


def test_videos(spec: MovingShapes) -> Iterator[tuple[Description, int, np.ndarray]]:
    """Yield description, phrasing and frames of every test video, twins one after the other."""
    forward = [d for d in DESCRIPTIONS if d.direction in ('right', 'down')]
    chosen = np.random.default_rng((spec.seed, 1)).permutation(len(forward))
    for pair in range(spec.num_test_pairs):
        rng = np.random.default_rng((spec.seed, 2, pair))
        description = forward[chosen[pair]]
        frames = draw_video(description, spec, rng)
        yield description, int(rng.integers(len(PHRASINGS))), frames
        yield description.reversed(), int(rng.integers(len(PHRASINGS))), frames[::-1]


def write_moving_shapes(folder: Path, spec: MovingShapes, overwrite: bool = False) -> bool:
    """Write the data set, or nothing where the same one already is there.

    ``train.json`` and ``test.json`` are annotations, ``train_groups.json`` names descriptions and
    ``test_groups.json`` pairs of twins; videos are in ``train/`` and ``test/``.

    Args:
        folder (Path): Where to; made whole elsewhere and moved there when finished.
        spec (MovingShapes): What to generate.
        overwrite (bool): Replace moving shapes of another kind. Defaults to False.

    Returns:
        bool: True if it was written.

    Raises:
        ValueError: If the folder exists and holds something else.
    """
    record = dict(asdict(spec), format=2)
    marker = folder / 'moving_shapes.json'
    found = json.loads(marker.read_text()) if marker.is_file() else None
    if found == record:
        return False
    if folder.exists() and found is None:
        raise ValueError(f"'{folder}' exists and is no moving-shapes data set; choose another "
                         'folder or remove it')
    if found is not None and not overwrite:
        raise ValueError(f"'{folder}' holds other moving shapes, made with {found}; choose another "
                         'folder, or replace them with --overwrite')
    partial = folder.with_name(folder.name + '.partial')
    shutil.rmtree(partial, ignore_errors=True)
    _write_split(partial, 'train', training_videos(spec), spec.num_train,
                 lambda index, description: ' '.join(description))
    _write_split(partial, 'test', test_videos(spec), 2 * spec.num_test_pairs,
                 lambda index, description: f'pair {index // 2}')
    (partial / marker.name).write_text(json.dumps(record))
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return True


def _write_split(folder: Path, split: str, videos: Iterator, total: int, group_of) -> None:
    (folder / split).mkdir(parents=True)
    captions: dict[str, list[str]] = {}
    groups: dict[str, str] = {}
    for index, (description, phrasing, frames) in enumerate(
            tqdm(videos, total=total, desc=f'{split} videos', mininterval=1)):
        name = f'{split}{index:05d}.mp4'  # ids are unique over splits
        write_video(folder / split / name, frames)
        captions[name] = [description.caption(phrasing)]
        groups[name] = group_of(index, description)
    for suffix, content in (('', captions), ('_groups', groups)):
        (folder / f'{split}{suffix}.json').write_text(json.dumps(content, indent=1))
