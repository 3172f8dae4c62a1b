"""Approximate search finds what exact search finds, with its scores, or steps aside."""
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from mmc2v.search import approximate
from mmc2v.search.clips import StoredVectors
from mmc2v.search.nearest import Vectors
from mmc2v.search.records import Content, Stat
from mmc2v.search.store import IndexStore

from .common import open_search, write_model


def fill(search, files=400, seed=0):
    """Write clustered vectors into an index, as if videos had been indexed."""
    rng = np.random.default_rng(seed)
    width = search.model.width
    centres = rng.standard_normal((60, width))
    store = IndexStore(search.index, create=True)
    with store.transaction():
        for number in range(files):
            vectors = centres[rng.integers(60)] + 0.5 * rng.standard_normal((13, width))
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            spans = np.stack([np.arange(13.0), np.arange(13.0) + 2], axis=1)
            store.insert(f'/{seed}/{number}.mp4', Stat(1, 1), Content(
                rng.bytes(32), 20.0, spans, vectors.astype(np.float16)))
    if not store.settings:
        store.set(dict(search.settings, weights=search.model.weights, width=width))
    store.close()


@pytest.fixture
def search(tmp_path):
    write_model(tmp_path)
    with open_search(tmp_path) as opened:
        fill(opened)
        opened._known = IndexStore(opened.index).settings
        yield opened


QUERIES = ('a dog', 'two red rings', 'somebody cooks', 'the sea at night')


def test_hits_and_scores_are_those_of_exact_search(search):
    exact = [search.search(query, top=3) for query in QUERIES]
    made = search.build_approximate()
    assert made['recall'] >= 0.98
    assert made['probes'] <= made['cells']
    common = 0
    for query, expected in zip(QUERIES, exact):
        theirs = {hit.paths[0]: hit.moments[0] for hit in expected}
        for hit in search.search(query, top=3):
            if hit.paths[0] in theirs:
                common += 1
                moment, exactly = hit.moments[0], theirs[hit.paths[0]]
                assert moment.start == exactly.start
                assert moment.score == pytest.approx(exactly.score, abs=1e-6)
                assert moment.stands_out == pytest.approx(exactly.stands_out, abs=0.3)
    assert common >= 10  # of 12
    assert search._approximate is not None
    assert search.note is None
    assert search.build_approximate() == {}  # nothing to do


def test_vectors_are_read_when_they_are_asked_for_or_all_at_once(search):
    search.build_approximate()
    found = [search.search(query, top=3) for query in QUERIES]
    stored = search._loaded[1].vectors
    assert isinstance(stored, StoredVectors)
    in_memory = search.load().vectors
    assert isinstance(in_memory, Vectors)
    numbers = np.array([0, 12, 13, 700, len(stored) - 1])
    assert np.array_equal(stored.rows(numbers), in_memory.rows(numbers))
    assert [search.search(query, top=3) for query in QUERIES] == found


@pytest.mark.parametrize(('fault', 'message'), [
    ('stale', r'my\.index\.ann is of another state of the index; make it anew by index --ann'),
    ('cut off', r'my\.index\.ann is damaged'), ('text', r'my\.index\.ann is damaged'),
    ('empty', r'my\.index\.ann is damaged'), ('bit', r'my\.index\.ann is damaged'),
    ('no faiss', r"faiss is not installed: pip install")])
def test_what_does_not_fit_is_said_and_search_is_exact(fault, message, search, monkeypatch):
    exact = search.search('a dog')
    search.build_approximate()
    path = approximate.path_of(search.index)
    content = Path(path).read_bytes()
    if fault == 'stale':
        fill(search, files=1, seed=9)
    elif fault == 'no faiss':
        monkeypatch.setitem(sys.modules, 'faiss', None)
    else:
        with open(path, 'wb') as file:
            file.write({'cut off': content[:len(content) // 2], 'text': b'some text\nand more',
                        'empty': b'', 'bit': content[:-900] + bytes([content[-900] ^ 16])
                        + content[-899:]}[fault])
    found = search.search('a dog')
    assert search._approximate is None
    assert re.search(f'exact search: {message}', search.note)
    if fault != 'stale':
        assert found == exact
    os.unlink(path)
    assert search.search('a dog') == found
    assert search.note is None


def test_of_few_clips_all_are_candidates(tmp_path):
    rng = np.random.default_rng(0)
    vectors = Vectors(5, 64, [rng.standard_normal((5, 64)).astype(np.float16)])
    path = str(tmp_path / 'few.ann')
    approximate.build(path, 'state', vectors, np.ones((1, 64), np.float32))
    found = approximate.read(path, 'state', 5)
    assert found.candidates(vectors.rows(np.array([2]))[0]).tolist() == [0, 1, 2, 3, 4]
