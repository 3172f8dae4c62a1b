"""Which video files there are, and what has happened to them since the index saw them."""
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from mmc2v.annotations import VIDEO_EXTENSIONS

from .records import FileRecord, Stat


@dataclass
class Changes:
    """What there is to do.

    Attributes:
        new (dict[str, Stat]): Files that are not in the index, or changed since.
        gone (list[str]): Files of the index that are no longer there.
        same (int): Files that are as they were.
        closed (list[str]): Folders that cannot be read; what the index has of them stays.
    """

    new: dict[str, Stat] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    same: int = 0
    closed: list[str] = field(default_factory=list)


def stat_of(path: str) -> Stat:
    """Return what tells whether a file has changed.

    Raises:
        OSError: If there is no such file.
    """
    found = os.stat(path)
    return Stat(found.st_size, found.st_mtime_ns)


def check_roots(roots: Sequence[str]) -> None:
    """Refuse what cannot be looked into.

    Args:
        roots (Sequence[str]): Paths of folders or files.

    Raises:
        FileNotFoundError: If one is not there, as where a disk is not mounted: what the index has
            of it is not gone.
        ValueError: If one is a pipe, a device or the like.
    """
    for root in roots:
        if not os.path.exists(root):
            raise FileNotFoundError(f"'{root}' is not there; nothing was changed. To forget what "
                                    'was in it, use the subcommand remove')
        if not (os.path.isfile(root) or os.path.isdir(root)):
            raise ValueError(f"'{root}' is neither a folder nor a file; nothing was changed")


def find_changes(roots: Sequence[str], known: Mapping[str, FileRecord]) -> Changes:
    """Compare folders with the index.

    Args:
        roots (Sequence[str]): Absolute paths of folders, or of files of any name.
        known (Mapping[str, FileRecord]): What the index has.

    Returns:
        Changes: Of what lies in the roots; files elsewhere are left alone.

    Raises:
        FileNotFoundError: If a root is not there, as where a disk is not mounted: what the index
            has of it is not gone.
    """
    changes = Changes()
    seen: set[str] = set()
    check_roots(roots)
    for root in roots:
        for path in [root] if os.path.isfile(root) else _videos(root, changes.closed):
            _look_at(path, known, changes, seen)
    folders = tuple(os.path.join(folder, '') for folder in changes.closed)
    for path in inside(roots, known):
        if path not in seen and os.path.isfile(path):  # given by its name once, of whatever kind
            _look_at(path, known, changes, seen)
        if path not in seen and not path.startswith(folders):
            changes.gone.append(path)
    return changes


def _look_at(path: str, known: Mapping[str, FileRecord], changes: Changes, seen: set[str]) -> None:
    """Compare a file with the index, once."""
    if path in seen:
        return
    try:
        stat = stat_of(path)
    except OSError:  # it has gone meanwhile, or is a link to nowhere
        return
    seen.add(path)
    if path in known and known[path].stat == stat:
        changes.same += 1
    else:
        changes.new[path] = stat


def inside(roots: Sequence[str], paths: Iterable[str]) -> list[str]:
    """Return the paths that are roots or lie in one."""
    folders = tuple(os.path.join(root, '') for root in roots)
    return [path for path in paths if path in roots or path.startswith(folders)]


def _videos(root: str, closed: list[str]) -> Iterator[str]:
    """Yield video files in a folder, linked folders included, each folder once."""
    visited: set[tuple[int, int]] = set()
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        try:
            found = os.stat(folder)
            if (found.st_dev, found.st_ino) in visited:  # a link to where we are, or have been
                continue
            visited.add((found.st_dev, found.st_ino))
            with os.scandir(folder) as entries:
                ordered = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            closed.append(folder)
            continue
        for entry in ordered:
            with suppress(OSError):  # a link that leads nowhere
                if entry.is_dir():
                    waiting.append(entry.path)
                elif entry.name.lower().endswith(VIDEO_EXTENSIONS) and entry.is_file():
                    yield entry.path
