"""What search shows: progress, reports, hits."""
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional, Union

from tqdm import tqdm

from mmc2v.search import Report, VideoHit
from mmc2v.search.milvus import MilvusStore
from mmc2v.search.store import IndexStore
from mmc2v.search.stores import is_remote, option

_MOST_LINES = 20  # of files with something to say
_BAR = 20  # characters; one stands for half a standard deviation


class IndexProgress:
    """Shows files, hours of video, speed and the time left, where someone looks."""

    def __init__(self) -> None:
        self._bar: Optional[tqdm] = None
        self._start, self._files = time.monotonic(), 0

    def __enter__(self) -> 'IndexProgress':
        return self

    def __exit__(self, *error: Any) -> None:
        if self._bar is not None:
            self._bar.close()

    def __call__(self, path: str, size: int, report: Report, total: int) -> None:
        """Count a file that is finished."""
        if self._bar is None or self._bar.n >= self._bar.total:  # files that came meanwhile
            if self._bar is None and report.encoded_by:
                print(report.encoded_by, flush=True)
            self.__exit__()
            self._bar = tqdm(total=max(1, total), desc='indexing', unit='B', unit_scale=True,
                             disable=None, mininterval=0.5)
        self._files += 1
        hours, seconds = report.seconds_of_video / 3600, time.monotonic() - self._start
        self._bar.set_postfix_str(f'{self._files} files, {hours:.2f} h of video, '
                                  f'{report.seconds_of_video / seconds:.0f} x real time')
        self._bar.update(size)


def shown(path: Union[str, Path]) -> str:
    """Return a text as it is, or escaped where a terminal could not show it or would obey it."""
    text = str(path)
    return text if text.isprintable() else repr(text)


def clock(seconds: float) -> str:
    """Return a time in a video, such as 1:02:03.5."""
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    last = f'{rest // 10:02d}.{rest % 10}'
    return f'{hours}:{minutes:02d}:{last}' if hours else f'{minutes}:{last}'


def hit_lines(hits: Sequence[VideoHit]) -> list[str]:
    """Return a table of what was found.

    Args:
        hits (Sequence[VideoHit]): The best first.
    """
    if not hits:
        return ['nothing is in the index']
    lines = ['rank   score  stands out by (standard deviations of all scores)    moment    video']
    for rank, hit in enumerate(hits, 1):
        for number, moment in enumerate(hit.moments):
            bar = '#' * max(0, min(_BAR, round(2 * moment.stands_out)))
            span = f'{clock(moment.start)} - {clock(moment.end)}'
            name = ' = '.join(map(shown, hit.paths)) if number == 0 else ''
            lines.append(f'{rank if number == 0 else "":>4}  {moment.score:6.3f}  '
                         f'{moment.stands_out:+5.1f} {bar:{_BAR}}  {span:>21}  {name}'.rstrip())
    return lines


def to_document(query: Union[str, Path], index: Union[str, Path],
                hits: Sequence[VideoHit]) -> dict[str, Any]:
    """Return what --json prints; docs/search.md has the schema."""
    return dict(query=str(query), kind='video' if isinstance(query, Path) else 'sentence',
                index=str(index), results=[
                    dict(rank=rank, paths=hit.paths, duration=hit.duration, moments=[
                        dict(start=moment.start, end=moment.end, score=moment.score,
                             stands_out=moment.stands_out) for moment in hit.moments])
                    for rank, hit in enumerate(hits, 1)])


def report_lines(report: Report, index: Union[str, Path]) -> list[str]:
    """Say what a run did."""
    counts = report.counts
    words = {'indexed': 'indexed', 'known': 'known by their content',
             'again': 'read again, which the server of the index had lost', 'same': 'unchanged',
             'removed': 'gone and forgotten', 'unreadable': 'unreadable',
             'growing': 'still being written, left for the next run'}
    done = ', '.join(f'{counts[kind]} {text}' for kind, text in words.items() if counts[kind])
    speed = report.seconds_of_video / max(report.seconds, 1e-9)
    lines = [f'{done or "no video files"} in {report.seconds:.1f} s']
    if report.seconds_of_video:
        lines.append(f'{report.seconds_of_video / 3600:.2f} hours of video, {speed:.0f} times as '
                     'fast as they play')
    for title, found in (('unreadable', report.unreadable), ('damaged', report.damaged),
                         ('folders that cannot be read, left as they were',
                          dict.fromkeys(report.closed, ''))):
        lines += _listed(title, found)
    return [*lines, f"ask: python tools/search.py query {shown(option(str(index)))} \"...\""]


def _listed(title: str, found: dict[str, str]) -> list[str]:
    if not found:
        return []
    rows = [f'  {shown(path)}{": " * bool(text)}{shown(text)}'
            for path, text in sorted(found.items())]
    more = [f'  and {len(rows) - _MOST_LINES} more: see info'] if len(rows) > _MOST_LINES else []
    return [f'{title}:', *rows[:_MOST_LINES], *more]


def info_lines(store: Union[IndexStore, MilvusStore]) -> list[str]:
    """Say what is in an index, by which model, and what could not be read and why."""
    from mmc2v.search.settings import check_settings
    settings = store.settings
    if not settings:
        return ['the index is empty: nothing was indexed yet']
    check_settings(settings, store)
    counts = store.counts()
    files = store.files()
    reasons = {path: record.reason for path, record in files.items() if record.reason}
    damaged = {outline.number: outline.damage for outline in store.outlines() if outline.damage}
    return [
        f"model       {shown(settings['name'])}, {settings['precision']}, weights "
        f"{shown(settings['weights'][:8])}",
        'checkpoint  ' + shown(settings['checkpoint'] or 'none: the weights that the config names'),
        f"windows     {settings['window']:g} s every {settings['stride']:g} s",
        f"files       {counts['files']}, of which {counts['unreadable']} are unreadable",
        f"videos      {counts['contents']} of different content, {counts['hours']:.2f} hours, "
        f"{counts['clips']} vectors of {settings['width']}",
        'size        ' + ('' if is_remote(store.path) else
                          f'{os.path.getsize(store.path) / 1e6:.1f} MB, of which ')
        + f"vectors {counts['vector_bytes'] / 1e6:.1f} MB",
        *_all_listed('unreadable', reasons),
        *_all_listed('damaged', {path: damaged[record.content] for path, record in files.items()
                                 if record.content in damaged})]


def _all_listed(title: str, found: dict[str, str]) -> list[str]:
    rows = [f'  {shown(path)}: {shown(text)}' for path, text in sorted(found.items())]
    return [f'{title}:', *rows] if rows else []
