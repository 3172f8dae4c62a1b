"""Opening what was indexed, and nothing else."""
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

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


@contextmanager
def opened(files: Mapping[str, FileRecord], roots: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Open the first of several files of one content that is as it was when it was indexed.

    It is looked at after it was opened, so that nobody can exchange it in between: its size and
    time, that it is a regular file, and where it really lies.

    Args:
        files (Mapping[str, FileRecord]): Files of one content, by path.
        roots (Sequence[str]): Folders and files that were indexed.

    Yields:
        tuple[str, int]: Its path, and the descriptor, which the block may use.

    Raises:
        RefusedError: If there is none.
    """
    real_roots = [os.path.realpath(root) for root in roots]
    found = {_look(path, record, real_roots): path for path, record in files.items()}
    descriptors = [key for key in found if isinstance(key, int)]
    try:
        if not descriptors:
            reason = next((key for key in reversed(_REASONS) if key in found), 'moved')
            raise RefusedError(_REASONS[reason][0], reason, _REASONS[reason][1])
        yield found[descriptors[0]], descriptors[0]
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _look(path: str, record: FileRecord, real_roots: Sequence[str]) -> int | str:
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
    elif not _is_inside(path, descriptor, real_roots):
        reason = 'outside'
    if reason is None:
        return descriptor
    os.close(descriptor)
    return reason


def _is_inside(path: str, descriptor: int, real_roots: Sequence[str]) -> bool:
    """Whether an open file lies in one of some folders, by its own place and not by its name."""
    try:
        real = os.readlink(f'/proc/self/fd/{descriptor}')
    except OSError:  # not of Linux
        real = os.path.realpath(path)
        if not os.path.samestat(os.stat(real), os.fstat(descriptor)):
            return False
    return any(real == root or real.startswith(os.path.join(root, '')) for root in real_roots)
