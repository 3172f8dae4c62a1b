"""One shape a frame over a background, and what there is of both.

F frames of S x S pixels.
"""
from collections.abc import Sequence

import numpy as np

COLORS = {'red': (220, 40, 40), 'green': (40, 180, 60), 'blue': (50, 80, 230),
          'yellow': (240, 220, 50), 'purple': (160, 60, 190), 'white': (250, 250, 250),
          'cyan': (50, 210, 220), 'orange': (255, 140, 20)}
SHAPES = ('square', 'ring', 'cross')
BACKGROUNDS = ('plain', 'striped', 'checkered', 'dotted', 'shaded')


def coverage(shape: str, x: np.ndarray, y: np.ndarray, radius: float) -> np.ndarray:
    """Return how much of each pixel a shape centred at 0 covers, in [0, 1], (S, S)."""
    if shape == 'square':
        distance = np.maximum(abs(x), abs(y)) - 0.9 * radius
    elif shape == 'ring':
        distance = abs(np.hypot(x, y) - 0.8 * radius) - 0.25 * radius
    else:
        distance = np.minimum(np.maximum(abs(x) - 0.3 * radius, abs(y) - 1.1 * radius),
                              np.maximum(abs(y) - 0.3 * radius, abs(x) - 1.1 * radius))
    return np.clip(0.5 - distance, 0, 1)


def draw_background(kind: str, size: int, rng: np.random.Generator) -> np.ndarray:
    """Return a dim (S, S, 3) background with random tint, period and phase."""
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
