"""Who writes into an index, and how it is made anew."""
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Union

from filelock import FileLock, Timeout

from .milvus import MilvusStore
from .records import UnusableIndexError
from .store import IndexStore, delete_index, exists, has_our_header
from .stores import beside, is_remote


@contextmanager
def writing_lock(path: str) -> Iterator[None]:
    """Be the only process that writes into an index.

    Raises:
        ValueError: If there is another.
    """
    lock = FileLock(f'{path}.lock')
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        lock.acquire(blocking=False)
    except Timeout:
        raise ValueError(f"another run writes into the index '{path}'; wait for its end, or end "
                         'it') from None
    except PermissionError as error:
        raise PermissionError(f"the index '{path}' cannot be written: {error}") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def writing(path: str) -> Iterator[Union[IndexStore, MilvusStore]]:
    """Open an index for writing; it is made where there is none.

    Into a file this process alone writes. Of a store by address that is not seen to.

    Raises:
        ValueError: If another process writes into it, or see :class:`IndexStore`.
    """
    if is_remote(path):
        with closing(MilvusStore(path, create=True)) as store:
            yield store
    else:
        with writing_lock(path), closing(IndexStore(path, create=True)) as store:
            yield store


@contextmanager
def rebuilding(path: str) -> Iterator[str]:
    """Make an index anew while the old one serves readers.

    What a run that was interrupted has made is there for the next one to go on with.

    Args:
        path (str): The index, which nobody else writes into meanwhile.

    Yields:
        str: Where to make the new one; at the end of the block it takes the place of the old.

    Raises:
        ValueError: If another process writes into it.
    """
    new = beside(path, 'rebuild')
    if is_remote(path):
        with closing(MilvusStore(path, create=True, check=False)) as old:
            old.refuse_foreign()
        yield new
        with closing(MilvusStore(new)) as made, closing(
                MilvusStore(path, create=True, check=False)) as old:
            made.take_place_of(old)
        return
    with writing_lock(path):
        if exists(path) and not has_our_header(path):
            raise UnusableIndexError(f"'{path}' is no index of mmc2v and stays as it is; choose "
                                     'another name, or delete it')
        yield new
        _take_place(new, path)
        delete_index(new)
        Path(f'{new}.lock').unlink(missing_ok=True)


def _take_place(new: str, path: str) -> None:
    """Put what is in a new index into the place of the old one."""
    with closing(IndexStore(new)) as made:
        try:
            with closing(IndexStore(path, create=True)) as old:
                made.copy_into(old)  # one change, which readers see as any other
            return
        except UnusableIndexError:  # the old one is damaged, or of another format
            pass
    delete_index(path)
    os.replace(new, path)
