"""Kinds of captions: each twin is its partner reversed, and nothing but time tells them apart."""
import json
import re

import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmc2v.evaluation import RetrievalEmbeddings, retrieval_metrics
from mmc2v.registry import DATASETS
from mmc2v.synthetic.moving_events import KINDS, PHRASINGS, MovingEvents, draw_event, drawn_events
from mmc2v.synthetic.writing import write_shapes

from ..tiny import ROOT

SPEC = MovingEvents(num_train=6)


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """A full test set and few training videos."""
    folder = tmp_path_factory.mktemp('events') / 'data'
    assert write_shapes(folder, SPEC)
    assert not write_shapes(folder, SPEC)
    return folder


@pytest.fixture(scope='module')
def items(data):
    """What the model gets of the test set, through the config's own pipeline."""
    config = Config.fromfile(ROOT / 'configs' / 'ablation' / 'full.py')
    dataset = DATASETS.build(dict(config.test_dataloader.dataset, data_root=str(data)))
    return [dataset[index] for index in range(len(dataset))]


def read(folder, name):
    return json.loads((folder / f'{name}.json').read_text())


def test_every_kind_has_as_many_queries(data):
    captions, kinds, groups = (read(data, f'test{suffix}') for suffix in ('', '_kinds', '_groups'))
    for kind in KINDS:
        names = [name for name, own in kinds.items() if own == kind]
        assert len(names) == 96 * (1 if kind == 'static' else 2)
        assert len({groups[name] for name in names}) == 96
        sentences = [sentence for name in names for sentence in captions[name]]
        assert len(set(sentences)) == len(sentences) == len(names) * SPEC.phrasings
    train = read(data, 'train_kinds')
    assert {kind: list(train.values()).count(kind) for kind in KINDS} == dict.fromkeys(KINDS, 6)


def test_twins_are_each_other_reversed_bit_for_bit(items):
    """Same number of frames, same pixels, same mask: what is left is order."""
    partners = {}
    for item in items:
        partners.setdefault(item['data_samples'].group, []).append(item['inputs'])
    for group, inputs in partners.items():
        assert all(own['frame_mask'].all() for own in inputs)
        if group.startswith('static'):
            assert len(inputs) == 1
            assert (inputs[0]['frames'] == inputs[0]['frames'][0]).all()
            continue
        one, twin = (own['frames'] for own in inputs)
        assert torch.equal(one, twin.flip(0)), group
        assert not torch.equal(one, twin), group


def test_captions_of_twins_have_the_same_words_but_for_the_change():
    for kind in KINDS[1:]:
        for event in drawn_events(kind)[:40]:
            twin = event.twin()
            assert twin.twin() == event != twin
            assert event.is_drawn
            assert not twin.is_drawn
            for way in range(4):
                words, other = (re.findall(r'\w+', e.caption(way)) for e in (event, twin))
                if kind == 'order':
                    assert sorted(words) == sorted(other)
                else:
                    assert {event.change} == set(words) - set(other)
    assert all(len(set(ways)) == 4 for ways in PHRASINGS.values())


def test_neither_file_order_nor_names_tell_twins_apart(data):
    """Which of two twins comes first in the annotation is as good as a coin."""
    groups, captions = read(data, 'test_groups'), read(data, 'test')
    firsts = {}
    for name, group in groups.items():
        firsts.setdefault(group, name)
    words = ('right', 'down', 'grows', 'faster')
    drawn = [any(word in captions[name][0].split() for word in words)
             for group, name in firsts.items() if not group.startswith(('static', 'order'))]
    assert abs(sum(drawn) - len(drawn) / 2) < 3 * (len(drawn) / 4) ** 0.5
    assert list(groups.values()) != sorted(groups.values())


def test_a_training_event_is_as_often_drawn_as_reversed(data):
    captions, kinds = read(data, 'train'), read(data, 'train_kinds')
    for kind, word in (('size', 'grows'), ('speed', 'faster')):
        own = [captions[name][0] for name, value in kinds.items() if value == kind]
        assert sum(word in text for text in own) == len(own) / 2


def brightness(frames, background):
    """Share of pixels that differ from the background, (F,)."""
    return (np.abs(frames.astype(int) - background.astype(int)).max(axis=-1) > 24).mean(axis=(1, 2))


@pytest.mark.parametrize('index', [0, 7, 40])
def test_frames_show_what_the_caption_says(index):
    def frames(event):
        return draw_event(event, SPEC, np.random.default_rng(index))

    size = drawn_events('size')[index]
    shown = frames(size)
    area = brightness(shown, np.median(shown, axis=0))
    assert area[-1] > area[len(area) // 2]  # the middle is the median
    assert np.array_equal(frames(size.twin()), shown[::-1])
    speed = frames(drawn_events('speed')[index]).astype(int)
    steps = np.abs(np.diff(speed, axis=0)).sum(axis=(1, 2, 3))
    assert steps[-3:].sum() > 1.5 * steps[:3].sum()
    order = drawn_events('order')[index]
    shown = frames(order)
    assert all(np.array_equal(shown[0], frame) for frame in shown[:4])
    assert all(np.array_equal(shown[4], frame) for frame in shown[4:])
    assert not np.array_equal(shown[0], shown[4])


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
    for kind in KINDS:
        for direction, queries in (('t2v', 384), ('v2t', 192)):
            found = metrics[f'{direction}/{kind}_R1']
            assert metrics[f'{direction}/{kind}_pair_R1'] == 100
            if kind == 'static':
                assert found == 100
            else:
                assert abs(found - 50) < 3 * 50 * queries ** -0.5, (kind, direction, found)


def test_wrong_sizes_are_refused():
    with pytest.raises(ValueError, match='num_test_pairs must be 1 to 120, got 121'):
        MovingEvents(num_test_pairs=121)
    with pytest.raises(ValueError, match='phrasings must be 1 to 4, got 5'):
        MovingEvents(phrasings=5)
    with pytest.raises(ValueError, match='got 64 and 7'):
        MovingEvents(num_frames=7)
