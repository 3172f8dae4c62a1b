"""Display matrices of all eight orientations are applied, as players apply them."""
import struct
from pathlib import Path

import numpy as np
import pytest

from mmc2v.datasets.transforms import BACKENDS, VideoDecodeError

from .made_videos import sequential, write

# a, b, c, d of a matrix that shows (x, y), y downwards, at (a x + c y, b x + d y)
ORIENTATIONS = {
    'upright': ((1, 0, 0, 1), lambda image: image),
    'turned left': ((0, -1, 1, 0), np.rot90),
    'upside down': ((-1, 0, 0, -1), lambda image: np.rot90(image, 2)),
    'turned right': ((0, 1, -1, 0), lambda image: np.rot90(image, 3)),
    'mirrored': ((-1, 0, 0, 1), np.fliplr),
    'mirrored upside down': ((1, 0, 0, -1), np.flipud),
    'transposed': ((0, 1, 1, 0), lambda image: image.transpose(1, 0, 2)),
    'transposed at the other diagonal': ((0, -1, -1, 0),
                                         lambda image: np.rot90(image, 2).transpose(1, 0, 2)),
}


def with_matrix(path, a, b, c, d):
    """Write a matrix into the track header, where 16.16 is the format of these numbers."""
    content = bytearray(Path(path).read_bytes())
    place = content.index(b'tkhd') + 44
    content[place:place + 36] = struct.pack('>9i', *(int(number * 65536) for number in (
        a, b, 0, c, d, 0, 0, 0)), 1 << 30)
    Path(path).write_bytes(content)
    return path


@pytest.mark.parametrize('backend', BACKENDS)
@pytest.mark.parametrize('orientation', ORIENTATIONS)
def test_frames_are_shown_as_the_matrix_says(orientation, backend, tmp_path):
    matrix, expected = ORIENTATIONS[orientation]
    path = write(str(tmp_path / 'a.mp4'), num_frames=12)
    plain, _ = sequential(path)
    shown = BACKENDS[backend](with_matrix(path, *matrix)).read([0, 7])
    for image, number in zip(shown, (0, 7), strict=True):
        assert np.array_equal(image, expected(plain[number]))


@pytest.mark.parametrize('backend', BACKENDS)
@pytest.mark.parametrize('matrix', [(.8, .6, -.6, .8), (1, .5, 0, 1), (0, 0, 0, 0)])
def test_other_matrices_are_refused(matrix, backend, tmp_path):
    path = with_matrix(write(str(tmp_path / 'a.mp4'), num_frames=3), *matrix)
    with pytest.raises(VideoDecodeError, match='display matrix'):
        BACKENDS[backend](path).read([0])
