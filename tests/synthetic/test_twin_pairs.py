"""Nothing but the order of frames tells twins apart, and their captions are worded alike."""
import hashlib
import json
import re

import numpy as np
import pytest

from mmc2v.synthetic.events import KINDS
from mmc2v.synthetic.twin_pairs import CONTROL, TwinPairs, read_twin_pairs, write_twin_pairs
from mmc2v.video.pyav_reader import PyAVReader

SMALL = dict(num_pairs=3, num_frames=4, size=16)


@pytest.fixture(scope='module')
def twins(tmp_path_factory):
    folder = tmp_path_factory.mktemp('twins') / 'data'
    assert write_twin_pairs(folder, TwinPairs(**SMALL))
    assert not write_twin_pairs(folder, TwinPairs(**SMALL))
    return read_twin_pairs(folder)


def shown(path):
    reader = PyAVReader(path)
    return np.stack(list(reader.read(range(4))))


def test_files_of_twins_are_each_other_reversed_bit_for_bit(twins):
    for kind, (videos, others) in zip(twins.kinds, twins.video_index):
        for video, other in zip(videos, others):
            one, twin = shown(twins.paths[video]), shown(twins.paths[other])
            assert not np.array_equal(one, twin)
            if kind == CONTROL:
                assert (one == one[0]).all()
            else:
                assert np.array_equal(one, twin[::-1])
    assert len(set(twins.video_index.ravel())) == len(twins.videos) == 5 * 3 * 2 * 2


def test_captions_of_twins_are_worded_alike():
    changed = dict(static=1, direction=1, size=1)
    for pair in TwinPairs(num_pairs=60, phrasings=4, num_frames=2, size=16).pairs():
        for one, other in zip(*pair.captions):
            assert one != other
            words, others = (re.findall(r'\w+', text) for text in (one, other))
            if pair.kind == 'order':
                assert sorted(words) == sorted(others)
            elif pair.kind in changed:
                assert sum(a != b for a, b in zip(words, others)) == 1
            else:
                assert {(a, b) for a, b in zip(words, others) if a != b} in (
                    {('faster', 'slower')}, {('slower', 'faster')})


def test_descriptions_are_distinct_and_every_kind_is_there():
    spec = TwinPairs(num_pairs=120, phrasings=4, num_frames=2, size=16)
    pairs = list(spec.pairs())
    kinds = [pair.kind for pair in pairs]
    assert {kind: kinds.count(kind) for kind in KINDS} == dict(
        dict.fromkeys(KINDS, 120), static=60)
    captions = [text for pair in pairs for side in pair.captions for text in side]
    assert len(set(captions)) == len(captions) == 4 * 2 * len(pairs)
    assert spec.num_videos == 4 * len(pairs)


def test_drawings_differ_and_equal_numbers_give_equal_pixels():
    digests = []
    for seed in (0, 0, 1):
        digest = hashlib.sha256()
        for pair in TwinPairs(**SMALL, seed=seed).pairs():
            first, second = pair.drawings[0]
            assert not np.array_equal(first, second)
            digest.update(first.tobytes() + repr(pair.captions).encode())
        digests.append(digest.hexdigest()[:16])
    assert digests[0] == digests[1] == 'ae17c8b45efd077d'
    assert digests[2] != digests[0]


def test_no_order_of_files_tells_twins_apart(twins):
    one, other = np.moveaxis(twins.video_index, 1, 0)
    assert 0.2 < (one < other).mean() < 0.8


@pytest.mark.parametrize(('name', 'value', 'message'), [
    ('num_pairs', 121, '1 to 120'), ('phrasings', 5, '1 to 4'), ('size', 33, 'even and at least'),
    ('num_frames', 7, 'even and at least 2')])
def test_wrong_numbers_are_refused(name, value, message):
    with pytest.raises(ValueError, match=f'^{name} must be {message}'):
        TwinPairs(**{name: value})


def test_other_pairs_are_not_replaced_unless_asked(twins, tmp_path):
    folder = tmp_path / 'mine'
    write_twin_pairs(folder, TwinPairs(**dict(SMALL, num_pairs=1)))
    with pytest.raises(ValueError, match="'num_pairs': 1.*--overwrite"):
        write_twin_pairs(folder, TwinPairs(**SMALL))
    (tmp_path / 'thesis').mkdir()
    with pytest.raises(ValueError, match='no data set of pairs of twins'):
        write_twin_pairs(tmp_path / 'thesis', TwinPairs(**SMALL), overwrite=True)


@pytest.mark.parametrize(('change', 'message'), [
    (lambda c: c.pop('captions'), "'captions'"), (lambda c: c['pairs'][0].pop('kind'), "'kind'"),
    (lambda c: c['pairs'][0].update(videos=[[0], [10 ** 6]]), 'two lists each'),
    (lambda c: [pair.update(videos=[[0], [999]]) for pair in c['pairs']], 'places from 0 to 999'),
    (lambda c: c['pairs'].clear(), 'two lists each')])
def test_pairs_that_do_not_fit_are_named(twins, tmp_path, change, message):
    content = json.loads((twins.folder / 'pairs.json').read_text())
    change(content)
    (tmp_path / 'pairs.json').write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        read_twin_pairs(tmp_path)


def test_a_missing_video_is_named(twins, tmp_path):
    (tmp_path / 'pairs.json').write_bytes((twins.folder / 'pairs.json').read_bytes())
    with pytest.raises(FileNotFoundError, match="lacks 60 videos.*'00000.mp4'"):
        read_twin_pairs(tmp_path)
