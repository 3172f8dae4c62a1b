"""Twins are each other reversed, nothing but time tells them apart, and no pixel ever changes."""
import hashlib
import itertools
import json

import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmc2v.evaluation import RetrievalEmbeddings, retrieval_metrics
from mmc2v.registry import DATASETS
from mmc2v.synthetic.events import DIRECTIONS, KINDS, PHRASINGS, Event
from mmc2v.synthetic.moving_events import MovingEvents, MovingShapes
from mmc2v.synthetic.writing import write_dataset

from ..tiny import ROOT

EVENTS = MovingEvents(num_train=6)
PIXELS_AND_CAPTIONS = {
    (MovingShapes, 'train'): '08133005392113fe', (MovingShapes, 'test'): 'f7a2deb2410f9c57',
    (MovingEvents, 'train'): '51e15a712d9a7bb7', (MovingEvents, 'test'): 'b6bbfbb7299e418b'}


@pytest.fixture(scope='module')
def events(tmp_path_factory):
    """Full test set and few training videos of all kinds."""
    folder = tmp_path_factory.mktemp('events') / 'data'
    write_dataset(folder, EVENTS)
    return folder


@pytest.fixture(scope='module')
def shapes(tmp_path_factory):
    """Full test set and few training videos of moving shapes."""
    folder = tmp_path_factory.mktemp('shapes') / 'data'
    write_dataset(folder, MovingShapes(num_train=24))
    return folder


def seen_by_model(folder, config):
    """What the model gets of a test set, through the config's own pipeline."""
    config = Config.fromfile(ROOT / 'configs' / config)
    dataset = DATASETS.build(dict(config.test_dataloader.dataset, data_root=str(folder)))
    return [dataset[index] for index in range(len(dataset))]


@pytest.fixture(scope='module')
def items(events):
    return seen_by_model(events, 'ablation/full.py')


def read(folder, name):
    return json.loads((folder / f'{name}.json').read_text())


@pytest.mark.parametrize(('spec', 'split'), PIXELS_AND_CAPTIONS)
def test_what_published_figures_are_measured_on_never_changes(spec, split):
    digest = hashlib.sha256()
    for video in itertools.islice(spec().videos(split), 12):
        digest.update(video.frames.tobytes())
        digest.update(repr((video.captions, video.group)).encode())
    assert digest.hexdigest()[:16] == PIXELS_AND_CAPTIONS[spec, split]


def test_every_kind_has_as_many_queries(events):
    captions, kinds, groups = (read(events, f'test{suffix}')
                               for suffix in ('', '_kinds', '_groups'))
    for kind in EVENTS.test_kinds:
        names = [name for name, kind_of_video in kinds.items() if kind_of_video == kind]
        assert len(names) == 96 * (1 if kind == 'static' else 2)
        assert len({groups[name] for name in names}) == 96
        sentences = [sentence for name in names for sentence in captions[name]]
        assert len(set(sentences)) == len(sentences) == len(names) * EVENTS.phrasings
    train = read(events, 'train_kinds')
    assert {kind: list(train.values()).count(kind) for kind in KINDS} == dict.fromkeys(KINDS, 6)
    assert EVENTS.sizes == dict(train=len(train), test=len(captions))


def pairs_of(split, kind):
    """What follows each other in the videos of a kind, whichever comes first."""
    return {frozenset(((event.color, event.shape), (event.color2, event.shape2)))
            for event, found, *_ in MovingEvents()._entries(split) if found == kind}


def test_some_pairs_meet_in_the_test_alone():
    trained, seen, unseen = (pairs_of(*of) for of in (
        ('train', 'order'), ('test', 'order'), ('test', 'unseen_order')))
    assert seen <= trained
    assert len(trained) == 128
    assert len(unseen) == 39
    assert not unseen & trained

    def kinds_of(number, pairs):
        return {frozenset(look[number] for look in pair) for pair in pairs}
    for number in (0, 1):  # colours and shapes by themselves do meet
        assert kinds_of(number, unseen) <= kinds_of(number, trained)


def test_rivals_differ_in_what_changes_alone(events):
    groups, rivals = read(events, 'train_groups'), read(events, 'train_rivals')
    assert set(groups) == set(rivals)
    of_rivals = {}
    for name, group in groups.items():
        of_rivals.setdefault(rivals[name], set()).add(group)
    for found in of_rivals.values():
        event = Event(*next(iter(found)).split(' '))
        others = {event, event.twin()} if event.kind != 'direction' else {
            event._replace(change=change) for change in DIRECTIONS}
        assert found == {' '.join(other) for other in others} & set(groups.values())


def test_the_test_set_of_shapes_is_distinct_pairs(shapes):
    captions, groups = read(shapes, 'test'), read(shapes, 'test_groups')
    assert len({caption for [caption] in captions.values()}) == len(captions) == 256
    assert list(groups.values()) == [f'pair {i // 2}' for i in range(len(captions))]


def test_training_groups_of_shapes_are_their_descriptions(shapes):
    """The batch sampler keeps items of one group apart."""
    captions, groups = read(shapes, 'train'), read(shapes, 'train_groups')
    for name, [caption] in captions.items():
        words = dict(zip(('color', 'shape', 'background', 'change'), groups[name].split()))
        assert caption in {phrasing.format(**words) for phrasing in PHRASINGS['direction']}
    loader = Config.fromfile(ROOT / 'configs' / 'clip2video_moving_shapes.py').train_dataloader
    assert loader.batch_sampler.type == 'mmc2v.DistinctGroupBatchSampler'
    assert loader.dataset.group_file == 'train_groups.json'


def test_twins_are_each_other_reversed_bit_for_bit(items, shapes):
    """Same number of frames, same pixels, same mask: what is left is order."""
    for shown in (items, seen_by_model(shapes, 'clip2video_moving_shapes.py')):
        pairs = {}
        for item in shown:
            assert item['inputs']['frame_mask'].all()
            pairs.setdefault(item['data_samples'].group, []).append(item['inputs']['frames'])
        for group, videos in pairs.items():
            if group.startswith('static'):
                [frames] = videos
                assert (frames == frames[0]).all()
                continue
            one, twin = videos
            assert torch.equal(one, twin.flip(0)), group
            assert not torch.equal(one, twin), group


def test_neither_file_order_nor_names_tell_twins_apart(events):
    """Which of two twins comes first in the annotation is as good as a coin."""
    groups, captions = read(events, 'test_groups'), read(events, 'test')
    firsts = {}
    for name, group in groups.items():
        firsts.setdefault(group, name)
    words = ('right', 'down', 'grows', 'faster')
    drawn = [any(word in captions[name][0].split() for word in words)
             for group, name in firsts.items()
             if not group.startswith(('static', 'order', 'unseen_order'))]
    assert abs(sum(drawn) - len(drawn) / 2) < 3 * (len(drawn) / 4) ** 0.5
    assert list(groups.values()) != sorted(groups.values())


def test_a_training_event_is_as_often_drawn_as_reversed(events):
    captions, kinds = read(events, 'train'), read(events, 'train_kinds')
    for kind, word in (('size', 'grows'), ('speed', 'faster')):
        sentences = [captions[name][0] for name, value in kinds.items() if value == kind]
        assert sum(word in sentence for sentence in sentences) == len(sentences) / 2


def blind_embeddings(items, seed):
    """The best that a model blind to time can do: it knows everything but the order of frames."""
    rng = np.random.default_rng(seed)
    samples = [item['data_samples'] for item in items]
    names = sorted({sample.group for sample in samples})
    looks = dict(zip(names, np.linalg.qr(rng.normal(size=(len(names), len(names))))[0]))
    video = np.stack([looks[sample.group] for sample in samples])
    # it hears the difference between twins' captions, which is of no use
    text = np.stack([looks[sample.group] for sample in samples for _ in sample.captions])
    text += rng.normal(size=text.shape) * 0.01
    video += rng.normal(size=video.shape) * 1e-6  # frames summed in another order
    return RetrievalEmbeddings(
        video=video, video_ids=np.array([sample.video_id for sample in samples]),
        undecodable=np.zeros(len(samples), bool), text=text,
        captions=np.array([text for sample in samples for text in sample.captions]),
        owner=np.repeat(np.arange(len(samples)), [len(sample.captions) for sample in samples]),
        group=np.array([sample.group for sample in samples]),
        kind=np.array([sample.kind for sample in samples]))


@pytest.mark.parametrize('seed', [0, 1, 2])
def test_a_model_blind_to_time_sits_at_the_bound(items, seed):
    """Half of pair R@1, within three standard errors of the queries, kind by kind."""
    metrics = retrieval_metrics(blind_embeddings(items, seed), group_name='pair', by_kind=True)
    for kind in EVENTS.test_kinds:
        for direction, queries in (('t2v', 384), ('v2t', 192)):
            found = metrics[f'{direction}/{kind}_R1']
            assert metrics[f'{direction}/{kind}_pair_R1'] == 100
            if kind == 'static':
                assert found == 100
            else:
                assert abs(found - 50) < 3 * 50 * queries ** -0.5, (kind, direction, found)


def test_another_seed_shows_other_pixels():
    one, other = (next(MovingShapes(seed=seed).videos('train')) for seed in (0, 1))
    assert one.event == other.event
    assert not np.array_equal(one.frames, other.frames)


@pytest.mark.parametrize(('spec', 'name', 'value', 'message'), [
    (MovingEvents, 'num_test_pairs', 121, '1 to 120'), (MovingEvents, 'phrasings', 5, '1 to 4'),
    (MovingEvents, 'num_frames', 7, 'even and at least 1'),
    (MovingEvents, 'num_train', 0, 'at least 1'), (MovingShapes, 'num_test_pairs', 241, '1 to 240'),
    (MovingShapes, 'seed', -1, 'at least 0'), (MovingShapes, 'size', 33, 'even and at least 16'),
    (MovingShapes, 'num_frames', 0, 'at least 1')])
def test_wrong_sizes_are_refused(spec, name, value, message):
    with pytest.raises(ValueError, match=f'^{name} must be {message}, got {value}$'):
        spec(**{name: value})


def test_shapes_have_one_phrasing_and_any_number_of_frames():
    assert len(next(MovingShapes(num_frames=7).videos('test')).frames) == 7
    with pytest.raises(TypeError, match='phrasings'):
        MovingShapes(phrasings=2)
