"""Published figures are measured on these data sets, so none of their content may change."""
import hashlib
import itertools

import pytest

from mmc2v.synthetic.moving_events import MovingEvents
from mmc2v.synthetic.moving_shapes import MovingShapes
from mmc2v.synthetic.writing import write_shapes

DATA_SETS = {'shapes': MovingShapes, 'events': MovingEvents}
SHOWN = {('shapes', 'train'): '08133005392113fe', ('shapes', 'test'): 'f7a2deb2410f9c57',
         ('events', 'train'): '6e131eebada7c784', ('events', 'test'): '83ecd62ff1ef25b7'}
FILES = {'shapes': '3a07176d3e9d6899', 'events': 'c056d586d45a00ee'}


@pytest.mark.parametrize(('name', 'split'), SHOWN)
def test_pixels_captions_and_groups_of_the_default_sizes_are_as_published(name, split):
    digest = hashlib.sha256()
    for video in itertools.islice(DATA_SETS[name]().videos(split), 12):
        digest.update(video.frames.tobytes())
        digest.update(repr((video.captions, video.group)).encode())
    assert digest.hexdigest()[:16] == SHOWN[name, split]


@pytest.mark.parametrize('name', FILES)
def test_files_beside_the_videos_are_as_published(name, tmp_path):
    folder, digest = tmp_path / 'data', hashlib.sha256()
    write_shapes(folder, DATA_SETS[name](num_train=3, num_test_pairs=2, num_frames=2, size=16))
    for path in sorted(folder.rglob('*.*')):
        digest.update(path.relative_to(folder).as_posix().encode())
        digest.update(b'' if path.suffix == '.mp4' else path.read_bytes())
    assert digest.hexdigest()[:16] == FILES[name]
