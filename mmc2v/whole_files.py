"""Files that are whole or absent: how they are written."""
import errno
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Union

_PARTIAL = re.compile(r'.+\.[0-9a-f]{8}\.partial')


@contextmanager
def open_whole(path: Union[str, Path]) -> Iterator[BinaryIO]:
    """Open a file so that under its name there is the old content or the new, at any moment.

    What is written gets the name when the block ends, and is on the disk then. An error within the
    block leaves the old content. The temporary file beside it has a name of its own, so that two
    writers of one file do not mix.

    Args:
        path (str | Path): File; its folder is made.

    Yields:
        BinaryIO: Where the content is written to.

    Raises:
        OSError: If it cannot be written, with its name.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = _partial_name(path)
    try:
        with partial.open('xb') as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        _name_file(error, path, partial)
        raise
    _sync_folder(path.parent)


@contextmanager
def make_whole_folder(folder: Union[str, Path]) -> Iterator[Path]:
    """Make a folder elsewhere, which takes its place when the block ends.

    An error within the block leaves the folder as it was.

    Args:
        folder (str | Path): Folder to make, or to replace.

    Yields:
        Path: Empty folder beside it, in which to make the new one.

    Raises:
        OSError: If it cannot be written, with its name.
    """
    folder = Path(folder)
    partial = _partial_name(folder)
    try:
        partial.mkdir(parents=True)
        yield partial
        shutil.rmtree(folder, ignore_errors=True)
        os.rename(partial, folder)
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        _name_file(error, folder, partial)
        raise


def write_whole(path: Union[str, Path], content: bytes) -> None:
    """Write a file as :func:`open_whole` does.

    Args:
        path (str | Path): File; its folder is made.
        content (bytes): What it will hold.
    """
    with open_whole(path) as file:
        file.write(content)


def to_json(content: Any) -> bytes:
    """Return the bytes of a JSON file, one value a line."""
    return f'{json.dumps(content, indent=1)}\n'.encode()


def remove_partials(folder: Union[str, Path]) -> None:
    """Remove what writers that were killed have left; nobody may be writing there.

    Args:
        folder (str | Path): Folder of the files that they wrote.
    """
    for path in Path(folder).glob('*.partial'):
        if _PARTIAL.fullmatch(path.name):
            path.unlink()


def _partial_name(path: Path) -> Path:
    """Return a name beside a path that no other writer has."""
    return path.with_name(f'{path.name}.{secrets.token_hex(4)}.partial')


def _name_file(error: BaseException, path: Path, partial: Path) -> None:
    """Raise an error of no file, as where the disk is full, or of a partial one, with the name."""
    if isinstance(error, OSError) and str(error.filename or partial).startswith(str(partial)):
        raise OSError(error.errno or errno.EIO, error.strerror or str(error), str(path)) from error


def _sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk, where the system can."""
    if hasattr(os, 'O_DIRECTORY'):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
