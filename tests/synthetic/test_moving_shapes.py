"""The embedded data set: only order tells twins apart, and everything is repeatable."""
import json

import av
import numpy as np
import pytest
import torch

from mmc2v.registry import DATASETS
from mmc2v.synthetic.moving_shapes import (
    DESCRIPTIONS,
    PHRASINGS,
    MovingShapes,
    draw_video,
)
from mmc2v.synthetic.writing import write_shapes

from ..tiny import ROOT


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """A full test set and few training videos."""
    folder = tmp_path_factory.mktemp('shapes') / 'data'
    assert write_shapes(folder, MovingShapes(num_train=24))
    return folder


def read(folder, name):
    return json.loads((folder / f'{name}.json').read_text())


def test_there_are_at_least_400_descriptions_in_several_phrasings():
    captions = {d.caption(0) for d in DESCRIPTIONS}
    assert len(captions) == len(DESCRIPTIONS) >= 400
    assert len({DESCRIPTIONS[0].caption(i) for i in range(len(PHRASINGS))}) == len(PHRASINGS) >= 3
    assert all(d.reversed().reversed() == d != d.reversed() for d in DESCRIPTIONS)


def test_test_set_is_distinct_pairs(data):
    captions, groups = read(data, 'test'), read(data, 'test_groups')
    assert len(captions) >= 256
    assert len({caption for own in captions.values() for caption in own}) == len(captions)
    assert sorted(groups.values()) == sorted(f'pair {i // 2}' for i in range(len(captions)))


def test_training_groups_are_the_descriptions(data):
    """The batch sampler keeps items of one group apart."""
    captions, groups = read(data, 'train'), read(data, 'train_groups')
    for name, (caption,) in captions.items():
        assert any(caption in {d.caption(i) for i in range(len(PHRASINGS))}
                   and groups[name] == ' '.join(d) for d in DESCRIPTIONS), name
    from mmengine.config import Config
    loader = Config.fromfile(ROOT / 'configs' / 'clip2video_moving_shapes.py').train_dataloader
    assert loader.batch_sampler.type == 'mmc2v.DistinctGroupBatchSampler'
    assert loader.dataset.group_file == 'train_groups.json'


def test_every_twin_is_its_partner_reversed_bit_for_bit(data):
    """Through the config's own pipeline: what the model sees."""
    from mmengine.config import Config
    config = Config.fromfile(ROOT / 'configs' / 'clip2video_moving_shapes.py')
    dataset = DATASETS.build(dict(config.test_dataloader.dataset, data_root=str(data)))
    for index in range(0, len(dataset), 2):
        one, twin = dataset[index]['inputs'], dataset[index + 1]['inputs']
        assert one['frame_mask'].all()
        assert twin['frame_mask'].all()
        assert torch.equal(one['frames'], twin['frames'].flip(0)), index
        assert not torch.equal(one['frames'], twin['frames'])
    with av.open(str(data / 'test' / 'test00000.mp4')) as container:
        packets = [p for p in container.demux(video=0) if p.size]
        assert container.streams.video[0].codec_context.name == 'h264'
        assert all(packet.is_keyframe for packet in packets)
        assert len(packets) == MovingShapes.num_frames


def test_two_runs_make_the_same_pixels_and_another_seed_others(data, tmp_path):
    spec = MovingShapes(num_train=24)
    write_shapes(tmp_path / 'again', spec)
    for name in ('train', 'test', 'train_groups', 'test_groups'):
        assert read(data, name) == read(tmp_path / 'again', name)

    def pixels(folder):
        for split in ('train', 'test'):
            for path in sorted((folder / split).glob('*.mp4')):
                with av.open(str(path)) as container:
                    yield np.stack([f.to_ndarray(format='rgb24')
                                    for f in container.decode(video=0)])
    assert all(np.array_equal(a, b) for a, b in zip(pixels(data), pixels(tmp_path / 'again')))
    other = draw_video(DESCRIPTIONS[0], spec, np.random.default_rng(1))
    assert not np.array_equal(other, draw_video(DESCRIPTIONS[0], spec, np.random.default_rng(0)))


def test_direction_shows_in_the_frames():
    spec = MovingShapes()
    for description in DESCRIPTIONS[:80]:
        frames = draw_video(description, spec, np.random.default_rng(0)).astype(float)
        moving = np.abs(frames - np.median(frames, axis=0)).sum(axis=-1)
        y, x = np.mgrid[:spec.size, :spec.size]
        first, last = ([(moving[i] * axis).sum() / moving[i].sum() for axis in (x, y)]
                       for i in (0, -1))
        step = np.subtract(last, first)
        axis = int(np.abs(step).argmax())
        assert ('left', 'up')[axis] == description.direction or (
            ('right', 'down')[axis] == description.direction and step[axis] > 0), description


def test_written_once_and_nothing_is_overwritten(data, tmp_path):
    assert not write_shapes(data, MovingShapes(num_train=24))
    with pytest.raises(ValueError, match="'num_train': 24.*--overwrite"):
        write_shapes(data, MovingShapes(num_train=25))
    small = [MovingShapes(num_train=n, num_test_pairs=1) for n in (1, 2)]
    assert write_shapes(tmp_path / 'mine', small[0])
    assert write_shapes(tmp_path / 'mine', small[1], overwrite=True)
    assert len(read(tmp_path / 'mine', 'train')) == 2
    (tmp_path / 'precious').mkdir()
    (tmp_path / 'precious' / 'thesis.tex').write_text('x')
    with pytest.raises(ValueError, match='precious.*no data set of moving shapes'):
        write_shapes(tmp_path / 'precious', MovingShapes())
    assert (tmp_path / 'precious' / 'thesis.tex').exists()


def test_wrong_sizes_are_refused():
    with pytest.raises(ValueError, match='num_test_pairs'):
        MovingShapes(num_test_pairs=241)
    with pytest.raises(ValueError, match='size'):
        MovingShapes(size=33)
