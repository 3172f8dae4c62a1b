"""Drawing and writing the generated videos of captioned shapes.

F frames of S x S pixels.
"""
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple, Optional, Protocol

import av
import numpy as np
from tqdm import tqdm

COLORS = {'red': (220, 40, 40), 'green': (40, 180, 60), 'blue': (50, 80, 230),
          'yellow': (240, 220, 50), 'purple': (160, 60, 190), 'white': (250, 250, 250),
          'cyan': (50, 210, 220), 'orange': (255, 140, 20)}
SHAPES = ('square', 'ring', 'cross')
BACKGROUNDS = ('plain', 'striped', 'checkered', 'dotted', 'shaded')
DIRECTIONS = {'left': (-1, 0), 'right': (1, 0), 'up': (0, -1), 'down': (0, 1)}


class ShapeVideo(NamedTuple):
    """A video, what is said of it, and what it is compared with.

    Attributes:
        frames (np.ndarray): (F, S, S, 3) uint8.
        captions (list[str]): One or several.
        group (str): In training its description, in the test its pair of twins.
        kind (str): What tells its caption from that of its twin; '' where all are of one kind.
        label (int, optional): Class for action recognition.
    """

    frames: np.ndarray
    captions: list[str]
    group: str
    kind: str = ''
    label: Optional[int] = None


class ShapeSpec(Protocol):
    """A dataclass that says what is generated; equal values give equal files."""

    name: str
    version: int
    sizes: dict[str, int]

    def videos(self, split: str) -> Iterator[ShapeVideo]:
        """Draw the videos of 'train' or 'test'."""


def refuse_below(spec: ShapeSpec, **least: int) -> None:
    """Refuse numbers that are too small.

    Args:
        spec (ShapeSpec): Has them as attributes.
        **least (int): The least that each may be.

    Raises:
        ValueError: If one is smaller.
    """
    for name, smallest in least.items():
        if getattr(spec, name) < smallest:
            raise ValueError(f'{name} must be at least {smallest}, got {getattr(spec, name)}')


def coverage(shape: str, x: np.ndarray, y: np.ndarray, radius: float) -> np.ndarray:
    """Return how much of each pixel a shape centred at 0 covers, in [0, 1], (H, W)."""
    if shape == 'square':
        distance = np.maximum(abs(x), abs(y)) - 0.9 * radius
    elif shape == 'ring':
        distance = abs(np.hypot(x, y) - 0.8 * radius) - 0.25 * radius
    else:
        distance = np.minimum(np.maximum(abs(x) - 0.3 * radius, abs(y) - 1.1 * radius),
                              np.maximum(abs(y) - 0.3 * radius, abs(x) - 1.1 * radius))
    return np.clip(0.5 - distance, 0, 1)


def draw_background(kind: str, size: int, rng: np.random.Generator) -> np.ndarray:
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


def jitter_color(color: str, rng: np.random.Generator) -> np.ndarray:
    """Return a shade of a named colour, (3,)."""
    return np.array(COLORS[color]) + rng.uniform(-12, 12, 3)


def draw_frames(background: np.ndarray, shapes: Sequence[str], colors: Sequence[np.ndarray],
                centers: Sequence[np.ndarray], radii: Sequence[float]) -> np.ndarray:
    """Draw one shape a frame.

    Args:
        background (np.ndarray): (S, S, 3).
        shapes (Sequence[str]): F names of :data:`SHAPES`.
        colors (Sequence[np.ndarray]): F times (3,).
        centers (Sequence[np.ndarray]): F times (x, y) in pixels.
        radii (Sequence[float]): F radii in pixels.

    Returns:
        np.ndarray: (F, S, S, 3) uint8.
    """
    size = len(background)
    y, x = np.mgrid[:size, :size] + 0.5
    frames = []
    for shape, color, center, radius in zip(shapes, colors, centers, radii):
        share = coverage(shape, x - center[0], y - center[1], radius)[..., None]
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


def write_shapes(folder: Path, spec: ShapeSpec, overwrite: bool = False) -> bool:
    """Write the data set, or nothing where the same one already is there.

    ``train.json`` and ``test.json`` are annotations, ``train_groups.json`` names descriptions and
    ``test_groups.json`` pairs of twins, ``test_kinds.json`` kinds where there are several,
    ``train.txt`` and ``test.txt`` list videos and classes for MMAction2's VideoDataset where there
    are classes; videos are in ``train/`` and ``test/``.

    Args:
        folder (Path): Where to; made whole elsewhere and moved there when finished.
        spec (ShapeSpec): What to generate.
        overwrite (bool): Replace generated shapes of another kind. Defaults to False.

    Returns:
        bool: True if it was written.

    Raises:
        ValueError: If the folder exists and holds something else.
    """
    record = dict(json.loads(json.dumps(asdict(spec))), format=spec.version)
    marker = folder / f'{spec.name}.json'
    found = json.loads(marker.read_text()) if marker.is_file() else None
    if found == record:
        return False
    title = spec.name.replace('_', ' ')
    if folder.exists() and found is None:
        raise ValueError(f"'{folder}' exists and is no data set of {title}; choose another "
                         'folder or remove it')
    if found is not None and not overwrite:
        raise ValueError(f"'{folder}' holds other {title}, made with {found}; choose another "
                         'folder, or replace them with --overwrite')
    partial = folder.with_name(folder.name + '.partial')
    shutil.rmtree(partial, ignore_errors=True)
    for split in ('train', 'test'):
        _write_split(partial, split, spec)
    (partial / marker.name).write_text(json.dumps(record))
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return True


def _write_split(folder: Path, split: str, spec: ShapeSpec) -> None:
    (folder / split).mkdir(parents=True)
    captions, groups, kinds, classes = {}, {}, {}, []
    for index, video in enumerate(tqdm(spec.videos(split), total=spec.sizes[split],
                                       desc=f'{split} videos', mininterval=1)):
        name = f'{split}{index:05d}.mp4'  # ids are unique over splits
        write_video(folder / split / name, video.frames)
        captions[name], groups[name], kinds[name] = video.captions, video.group, video.kind
        if video.label is not None:
            classes.append(f'{name} {video.label}\n')
    if classes:
        (folder / f'{split}.txt').write_text(''.join(classes))
    files = {'': captions, '_groups': groups, **({'_kinds': kinds} if any(kinds.values()) else {})}
    for suffix, content in files.items():
        (folder / f'{split}{suffix}.json').write_text(json.dumps(content, indent=1))
