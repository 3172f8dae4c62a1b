"""Where an index is: in a file, or in Milvus by address."""
import shlex
from contextlib import closing
from typing import Union

from . import store as files
from .milvus import MilvusStore
from .store import IndexStore, delete_index


def is_remote(index: str) -> bool:
    """Whether an index is an address, and no file."""
    return str(index).startswith(('http://', 'https://'))


def open_store(index: str, create: bool = False) -> Union[IndexStore, MilvusStore]:
    """Open an index; see :class:`~mmc2v.search.store.IndexStore` for arguments and errors."""
    return MilvusStore(index, create) if is_remote(index) else IndexStore(index, create)


def exists(index: str) -> bool:
    """Whether there is an index, or something else in its place.

    Raises:
        OSError: If the server of an address cannot be reached.
    """
    if not is_remote(index):
        return files.exists(index)
    try:
        MilvusStore(index, check=False).close()
    except FileNotFoundError:
        return False
    return True


def delete(index: str) -> None:
    """Delete an index.

    Raises:
        UnusableIndexError: If it is a collection of something else.
        OSError: If the server of an address cannot be reached.
    """
    if not is_remote(index):
        return delete_index(index)
    with closing(MilvusStore(index, create=True, check=False)) as store:
        store.refuse_foreign()
        store.drop()


def beside(index: str, suffix: str) -> str:
    """Return the name of another index in the same place."""
    if not is_remote(index):
        return f'{index}.{suffix}'
    address, mark, query = index.partition('?')
    return f'{address}_{suffix}{mark}{query}'


def option(index: str) -> str:
    """Return how a command line names an index."""
    return f'--store {shlex.quote(index)}' if is_remote(index) else f'--index {shlex.quote(index)}'


__all__ = ['beside', 'delete', 'exists', 'is_remote', 'open_store', 'option']
