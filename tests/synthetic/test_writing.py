"""Files are lossless, the same each time, and replace nothing that they should not."""
import hashlib
import json

import av
import numpy as np
import pytest

from mmc2v.synthetic import writing
from mmc2v.synthetic.moving_events import MovingEvents, MovingShapes
from mmc2v.synthetic.writing import write_dataset

SMALL = dict(num_train=3, num_test_pairs=2, num_frames=2, size=16)


@pytest.mark.parametrize(('spec', 'expected'), [
    (MovingShapes, '3a07176d3e9d6899'), (MovingEvents, 'bd9d13775c3358a0')])
def test_names_and_annotations_never_change(spec, expected, tmp_path):
    folder, digest = tmp_path / 'data', hashlib.sha256()
    assert write_dataset(folder, spec(**SMALL))
    for path in sorted(folder.rglob('*.*')):
        digest.update(path.relative_to(folder).as_posix().encode())
        digest.update(b'' if path.suffix == '.mp4' else path.read_bytes())
    assert digest.hexdigest()[:16] == expected


def test_every_frame_is_coded_by_itself_and_two_runs_make_the_same(tmp_path):
    for name in ('one', 'two'):
        write_dataset(tmp_path / name, MovingShapes(**SMALL))

    def shown(path):
        with av.open(str(path)) as container:
            packets = [packet for packet in container.demux(video=0) if packet.size]
            assert container.streams.video[0].codec_context.name == 'h264'
            assert len(packets) == 2
            assert all(packet.is_keyframe for packet in packets)
            container.seek(0)
            return np.stack([frame.to_ndarray(format='rgb24')
                             for frame in container.decode(video=0)])
    paths = [path.relative_to(tmp_path / 'one') for path in (tmp_path / 'one').rglob('*.mp4')]
    assert len(paths) == 7
    for path in paths:
        assert np.array_equal(shown(tmp_path / 'one' / path), shown(tmp_path / 'two' / path))


def test_written_once_and_nothing_is_overwritten(tmp_path):
    mine, other = MovingShapes(**SMALL), MovingShapes(**dict(SMALL, num_train=1))
    assert write_dataset(tmp_path / 'mine', mine)
    assert not write_dataset(tmp_path / 'mine', mine)
    with pytest.raises(ValueError, match="'num_train': 3.*--overwrite"):
        write_dataset(tmp_path / 'mine', other)
    assert write_dataset(tmp_path / 'mine', other, overwrite=True)
    assert len(json.loads((tmp_path / 'mine' / 'train.json').read_text())) == 1
    (tmp_path / 'precious').mkdir()
    (tmp_path / 'precious' / 'thesis.tex').write_text('x')
    for spec, folder, title in ((mine, 'precious', 'moving shapes'),
                                (MovingEvents(**SMALL), 'mine', 'moving events')):
        with pytest.raises(ValueError, match=f'{folder}.*no data set of {title}'):
            write_dataset(tmp_path / folder, spec, overwrite=True)
    assert (tmp_path / 'precious' / 'thesis.tex').exists()


def test_what_fails_leaves_the_old_data_set_and_what_lies_beside_it(tmp_path, monkeypatch):
    folder, beside = tmp_path / 'data', tmp_path / 'data.partial'
    write_dataset(folder, MovingShapes(**SMALL))
    beside.mkdir()
    (beside / 'thesis.tex').write_text('x')
    before = sorted(tmp_path.rglob('*'))
    written = writing.write_video

    def disk_full(path, *args):
        if path.name == 'test00001.mp4':
            raise OSError(28, 'No space left on device')
        written(path, *args)
    monkeypatch.setattr(writing, 'write_video', disk_full)
    with pytest.raises(OSError, match=r"No space left on device: '.*data'"):
        write_dataset(folder, MovingShapes(**dict(SMALL, seed=1)), overwrite=True)
    assert sorted(tmp_path.rglob('*')) == before
    assert json.loads((folder / 'moving_shapes.json').read_text())['seed'] == 0
