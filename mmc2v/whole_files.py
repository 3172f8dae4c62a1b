"""Files that are whole or absent: how they are written, and how damage of archives is noticed."""
import errno
import os
import re
import secrets
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Optional, Union

_PARTIAL = re.compile(r'.+\.[0-9a-f]{8}\.partial')
_ARCHIVE = b'PK\x03\x04'  # how a zip archive begins, and so what torch.save writes


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
    partial = path.with_name(f'{path.name}.{secrets.token_hex(4)}.partial')
    try:
        with partial.open('xb') as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:  # as where the disk is full
            raise OSError(error.errno or errno.EIO, error.strerror or str(error),
                          str(path)) from error
        raise
    _sync_folder(path.parent)


def write_whole(path: Union[str, Path], content: bytes) -> None:
    """Write a file as :func:`open_whole` does.

    Args:
        path (str | Path): File; its folder is made.
        content (bytes): What it will hold.
    """
    with open_whole(path) as file:
        file.write(content)


def remove_partials(folder: Union[str, Path]) -> None:
    """Remove what writers that were killed have left; nobody may be writing there.

    Args:
        folder (str | Path): Folder of the files that they wrote.
    """
    for path in Path(folder).glob('*.partial'):
        if _PARTIAL.fullmatch(path.name):
            path.unlink()


def is_archive(path: Union[str, Path]) -> bool:
    """Say whether torch takes a file for a zip archive, which it does by its first bytes."""
    with open(path, 'rb') as file:
        return file.read(len(_ARCHIVE)) == _ARCHIVE


def damage_of_archive(path: Union[str, Path]) -> Optional[str]:
    """Compare the checksums in an archive, which torch writes and does not compare.

    Args:
        path (str | Path): A file, of which nothing is said where it is no zip archive.

    Returns:
        str, optional: What is wrong; none where all is well.
    """
    if not is_archive(path):
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            part = archive.testzip()
    except Exception as error:  # whatever the file consists of
        return str(error) or type(error).__name__
    return part and f'the checksum of its part {part} differs'


def refuse_damaged(path: Union[str, Path]) -> None:
    """Refuse a local file whose checksums differ; see :func:`damage_of_archive`.

    Args:
        path (str | Path): File; an address, or what does not exist, is left to its reader.

    Raises:
        ValueError: If it is damaged.
    """
    path = os.path.expanduser(path)
    damage = damage_of_archive(path) if os.path.isfile(path) else None
    if damage:
        raise ValueError(f"'{path}' is damaged: {damage}. Copy or fetch it again")


def _sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk, where the system can."""
    if hasattr(os, 'O_DIRECTORY'):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
