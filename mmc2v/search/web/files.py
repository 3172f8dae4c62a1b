"""Opening what was indexed, and nothing else."""
import os
import stat
from collections.abc import Mapping, Sequence

from ..records import FileRecord
from .errors import RefusedError

# What is told of a file that is not served, the most telling last.
_REASONS = {
    'moved': (410, 'the file is no longer where it was when it was indexed; put it back, or index '
                   'its folder again'),
    'changed': (410, 'the file has changed since it was indexed; index its folder again'),
    'closed': (403, 'the server may not read the file; give it the right to, and try again'),
    'outside': (403, 'a link leads out of the folders that were indexed; index the folder that it '
                     'leads to'),
}


def open_indexed(files: Mapping[str, FileRecord], roots: Sequence[str]) -> int:
    """Open the first of several files of one content that is as it was when it was indexed.

    It is looked at after it was opened, so that nobody can exchange it in between: its size and
    time, that it is a regular file, and where it really lies. Whoever reads it reads what is open,
    never the path again.

    Args:
        files (Mapping[str, FileRecord]): Files of one content, by path.
        roots (Sequence[str]): Folders and files that were indexed.

    Returns:
        int: Its descriptor, which the caller closes.

    Raises:
        RefusedError: If there is none.
    """
    found = set()
    for path, record in files.items():
        result = _look(path, record, roots)
        if isinstance(result, int):
            return result
        found.add(result)
    reason = next((key for key in reversed(_REASONS) if key in found), 'moved')
    raise RefusedError(_REASONS[reason][0], reason, _REASONS[reason][1])


def _look(path: str, record: FileRecord, roots: Sequence[str]) -> int | str:
    """Return a descriptor of a file, or why there is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except PermissionError:
        return 'closed'
    except (OSError, ValueError):
        return 'moved'
    status = os.fstat(descriptor)
    reason = None
    if not stat.S_ISREG(status.st_mode) or (status.st_size, status.st_mtime_ns) != record.stat:
        reason = 'changed'
    elif not _is_inside(path, descriptor, roots):
        reason = 'outside'
    if reason is None:
        return descriptor
    os.close(descriptor)
    return reason


def _is_inside(path: str, descriptor: int, roots: Sequence[str]) -> bool:
    """Whether an open file lies in one of some folders, by its own place and not by its name."""
    try:
        real = os.readlink(f'/proc/self/fd/{descriptor}')
    except OSError:  # not of Linux
        real = os.path.realpath(path)
        if not os.path.samestat(os.stat(real), os.fstat(descriptor)):
            return False
    # first by the one that it was indexed by: there may be thousands
    likely = sorted(roots, key=lambda root: not _holds(root, path))
    return any(_holds(os.path.realpath(root), real) for root in likely)


def _holds(root: str, path: str) -> bool:
    return path == root or path.startswith(os.path.join(root, ''))
