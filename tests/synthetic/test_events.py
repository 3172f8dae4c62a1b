"""Captions of twins differ in what changed alone, and frames show what captions say."""
import re

import numpy as np
import pytest

from mmc2v.synthetic.events import KINDS, PHRASINGS, draw_event, drawn_events


def drawn(event, seed=0):
    return draw_event(event, 8, 64, np.random.default_rng(seed))


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


def test_480_descriptions_of_a_direction():
    events = drawn_events('direction')
    events += [event.twin() for event in events]
    assert len({event.caption(0) for event in events}) == len(events) == 480


def test_direction_shows_in_the_frames():
    y, x = np.mgrid[:64, :64]
    for event in drawn_events('direction')[:40]:
        for shown in (event, event.twin()):
            frames = drawn(shown).astype(float)
            moving = np.abs(frames - np.median(frames, axis=0)).sum(axis=-1)
            first, last = ([(moving[i] * axis).sum() / moving[i].sum() for axis in (x, y)]
                           for i in (0, -1))
            step = np.subtract(last, first)
            axis = int(np.abs(step).argmax())
            assert shown.change == (('left', 'right'), ('up', 'down'))[axis][int(step[axis] > 0)]


@pytest.mark.parametrize('index', [0, 7, 40])
def test_size_speed_and_order_show_in_the_frames(index):
    size = drawn_events('size')[index]
    shown = drawn(size, index)
    differs = np.abs(shown.astype(int) - np.median(shown, axis=0).astype(int)).max(axis=-1) > 24
    area = differs.mean(axis=(1, 2))
    assert area[-1] > area[len(area) // 2]  # the middle is the median
    assert np.array_equal(drawn(size.twin(), index), shown[::-1])
    speed = drawn(drawn_events('speed')[index], index).astype(int)
    steps = np.abs(np.diff(speed, axis=0)).sum(axis=(1, 2, 3))
    assert steps[-3:].sum() > 1.5 * steps[:3].sum()
    shown = drawn(drawn_events('order')[index], index)
    assert all(np.array_equal(shown[0], frame) for frame in shown[:4])
    assert all(np.array_equal(shown[4], frame) for frame in shown[4:])
    assert not np.array_equal(shown[0], shown[4])
