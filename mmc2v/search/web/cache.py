"""Files that are made once and kept within a bound."""
import asyncio
import contextlib
import fcntl
import os
import shutil
import tempfile
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Optional

_PREFIX = 'mmc2v-cache-'


class BoundedCache:
    """Made files in a folder of their own, of which those go first that nobody asked for lately.

    What several ask for at a time is made once. To be used in one event loop. The folder is locked
    while the process lives; those that killed ones have left are removed.

    Args:
        most_bytes (int): Of all files together.
    """

    def __init__(self, most_bytes: int) -> None:
        _remove_abandoned()
        self._folder = tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True)
        self._lock = _locked(self._folder.name)
        self._most = most_bytes
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._making: dict[str, asyncio.Task] = {}
        self._number = 0

    @property
    def bytes(self) -> int:
        """Of what is kept."""
        return sum(self._sizes.values())

    async def open(self, key: str, make: Callable[[str], Awaitable[None]]) -> int:
        """Return the descriptor of a file, which is made where it is not there.

        Args:
            key (str): Its name: letters, digits, '-' and '.'.
            make (Callable): Writes it under the path that it is given.

        Returns:
            int: For reading; the caller closes it. The file may go meanwhile.
        """
        while True:
            if key in self._sizes:
                self._sizes.move_to_end(key)
                try:
                    return os.open(self._path(key), os.O_RDONLY | os.O_CLOEXEC)
                except FileNotFoundError:  # somebody cleans the folder of temporary files
                    del self._sizes[key]
            if key not in self._making:
                task = self._making[key] = asyncio.create_task(self._make(key, make))
                task.add_done_callback(lambda task: task.cancelled() or task.exception())
            # whoever asked first may leave; the others still wait for it
            await asyncio.shield(self._making[key])

    def _path(self, key: str) -> str:
        return os.path.join(self._folder.name, key)

    async def _make(self, key: str, make: Callable[[str], Awaitable[None]]) -> None:
        self._number += 1
        partial = self._path(f'{self._number}.partial')
        try:
            os.makedirs(self._folder.name, 0o700, exist_ok=True)
            await make(partial)
            size = os.path.getsize(partial)
            os.replace(partial, self._path(key))
            self._sizes[key] = size
            while self.bytes > self._most and len(self._sizes) > 1:
                self._remove(self._path(self._sizes.popitem(last=False)[0]))
        finally:
            del self._making[key]
            self._remove(partial)

    @staticmethod
    def _remove(path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)

    def close(self) -> None:
        """Remove all of it."""
        self._folder.cleanup()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _locked(folder: str) -> Optional[int]:
    """Return a descriptor of a folder that is locked by it; None where another has the lock."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _remove_abandoned() -> None:
    """Remove what servers have left that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f'{_PREFIX}*'):
        with contextlib.suppress(OSError):  # of others, or gone meanwhile
            if folder.stat(follow_symlinks=False).st_uid == os.getuid():
                lock = _locked(str(folder))
                if lock is not None:
                    shutil.rmtree(folder)
                    os.close(lock)
