"""How far the indexing of another process is."""
import fcntl
import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple, Optional

from .stores import is_remote

# Seconds between two notes, and bytes of one at most.
_BETWEEN_NOTES, _MAX_BYTES = 0.5, 4096


class Progress(NamedTuple):
    """How far it is.

    Attributes:
        files (int): That are finished.
        share (float): Of the bytes to read, from 0 to 1.
        hours (float): Of video that are indexed.
    """

    files: int
    share: float
    hours: float


class SharedProgress:
    """Notes the progress of indexing in a file beside the index, for those who read meanwhile.

    The file is locked as long as the process lives, so that nobody takes what a killed one has left
    for progress. Where it cannot be written, or there is no file, nothing is noted.

    Args:
        index (str, optional): The index; none where another process notes.
        watch (Callable, optional): Called with the same arguments as this; see
            :class:`~mmc2v.search.indexing.Indexer`.
    """

    def __init__(self, index: Optional[str], watch: Optional[Callable] = None) -> None:
        self._path = path_of(index) if index and not is_remote(index) else None
        self._watch = watch
        self._descriptor: Optional[int] = None
        self._files, self._read, self._total, self._noted = 0, 0, 0, 0.0

    def __enter__(self) -> 'SharedProgress':
        if self._path is not None:
            with suppress(OSError):
                flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
                self._descriptor = os.open(self._path, flags, 0o644)
                fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        self._note(Progress(0, 0.0, 0.0))
        return self

    def __exit__(self, *error: Any) -> None:
        if self._descriptor is not None:
            with suppress(OSError):
                os.unlink(self._path)
            os.close(self._descriptor)

    def __call__(self, path: Optional[str], size: int, report: Any, total: int) -> None:
        """Count a file that is finished."""
        if self._read >= self._total:  # files that came meanwhile are counted anew
            self._read, self._total = 0, total
        self._files += 1
        self._read += size
        if time.monotonic() - self._noted > _BETWEEN_NOTES:
            self._noted = time.monotonic()
            self._note(Progress(self._files, min(1.0, self._read / max(1, self._total)),
                                report.seconds_of_video / 3600))
        if self._watch is not None:
            self._watch(path, size, report, total)

    def _note(self, progress: Progress) -> None:
        if self._descriptor is not None:
            with suppress(OSError):
                text = json.dumps(progress._asdict()).encode()
                os.pwrite(self._descriptor, text.ljust(_MAX_BYTES // 16), 0)


def path_of(index: str) -> str:
    """Return the name of the file."""
    return f'{index}.progress'


def read_progress(index: str) -> Optional[Progress]:
    """Return how far the process is that indexes at present, also one that rebuilds.

    Args:
        index (str): The index.

    Returns:
        Progress, optional: None where nobody does.
    """
    for path in () if is_remote(index) else (path_of(index), path_of(f'{index}.rebuild')):
        with suppress(OSError, ValueError, TypeError, RecursionError):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:  # it is at work
                found = json.loads(os.pread(descriptor, _MAX_BYTES, 0))
                files, share, hours = (float(found[key]) for key in Progress._fields)
                if 0 <= files < 1e12 and 0 <= share <= 1 and 0 <= hours < 1e9:
                    return Progress(int(files), share, hours)
            finally:
                os.close(descriptor)
    return None
