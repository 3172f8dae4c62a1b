"""Progress is for terminals, for the main process, and for what takes long."""
import io
import time

import numpy as np

from mmc2v import progress as module
from mmc2v.evaluation import retrieval_ranks
from mmc2v.progress import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_nothing_is_shown_in_files_nor_on_other_processes(monkeypatch):
    items = [1, 2]
    monkeypatch.setattr('sys.stderr', io.StringIO())
    assert progress(items, 'a') is items
    monkeypatch.setattr('sys.stderr', Terminal())
    assert list(progress(items, 'a')) == items
    assert progress(items, 'a') is not items
    monkeypatch.setattr(module, 'is_main_process', lambda: False)
    assert progress(items, 'a') is items


def test_a_bar_appears_once_it_takes_long(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr('sys.stderr', terminal)
    for _ in progress(range(3), 'quick', 'item'):
        pass
    assert terminal.getvalue() == ''
    now = [time.time()]
    monkeypatch.setattr('time.time', lambda: now[0])
    bar = progress(range(3), 'slow', 'item')
    monkeypatch.setattr(bar, '_time', lambda: now[0])
    for _ in bar:
        now[0] += 4
    assert 'slow:' in terminal.getvalue()
    assert '/3 [' in terminal.getvalue()


def test_ranking_passes_through_it(monkeypatch):
    seen = []
    monkeypatch.setattr('mmc2v.evaluation.ranks.progress',
                        lambda blocks, title, unit: seen.append((title, len(blocks))) or blocks)
    vectors = np.eye(8, dtype=np.float32)
    ranks = retrieval_ranks(vectors, vectors, range(8), range(8), block_bytes=4 * 8 * 2)
    assert ranks['t2v'].lost.tolist() == [1] * 8
    assert seen == [('ranking', 4)]
