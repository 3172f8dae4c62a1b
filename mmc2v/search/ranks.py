"""Processes, also on several nodes, that bring one index up to date together.

A file belongs to the process that a digest of its path says. Into a store by address each of them
writes; into an index that is a file one process writes for all of its node.
"""
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from multiprocessing.managers import BaseManager
from typing import Any, Optional

import torch.distributed as dist

from .records import drawn
from .stores import is_remote, open_store
from .writing import writing

# Ranks that have less to do wait for the others however long those take.
_TIMEOUT = timedelta(days=365)
_SERVED = ['files', 'content_of', 'add', 'link', 'refuse']


class Ranks:
    """The processes that index together, or one that is alone.

    Attributes:
        rank (int): Which one this is.
        count (int): How many there are.
        per_node (int): How many on this node.
    """

    def __init__(self, rank: int = 0, count: int = 1, per_node: int = 1) -> None:
        self.rank, self.count, self.per_node = rank, count, per_node

    @classmethod
    def of_launcher(cls) -> 'Ranks':
        """Return those that ``torchrun`` has started.

        Raises:
            ValueError: If it has not.
        """
        try:
            count, per_node = (int(os.environ[name]) for name in ('WORLD_SIZE', 'LOCAL_WORLD_SIZE'))
        except (KeyError, ValueError):
            raise ValueError('--launcher pytorch is for processes of torchrun: use bash '
                             'tools/dist_search.sh index ... PROCESSES') from None
        if not dist.is_initialized():
            dist.init_process_group('gloo', timeout=_TIMEOUT)
        return cls(dist.get_rank(), count, per_node)

    @property
    def is_first(self) -> bool:
        """Whether this one does what is done once."""
        return self.rank == 0

    def takes(self, path: str) -> bool:
        """Whether a file is of this process."""
        return drawn(os.fsencode(path)) % self.count == self.rank

    def wait(self) -> None:
        """Wait until all have come here."""
        if self.count > 1:
            dist.barrier()

    def gathered(self, value: Any) -> list[Any]:
        """Return what each of them gives, at the first one; elsewhere nothing."""
        if self.count == 1:
            return [value]
        values: Optional[list[Any]] = [None] * self.count if self.is_first else None
        dist.gather_object(value, values)
        return values or []

    @contextmanager
    def writing(self, index: str) -> Iterator[Any]:
        """Be those who write into an index; the first one opens it.

        Yields:
            IndexStore | MilvusStore, optional: None at the others.

        Raises:
            ValueError: If it is a file, and they are on several nodes.
        """
        if not is_remote(index) and self.per_node < self.count:
            raise ValueError(f"'{index}' is a file, into which the processes of one node can "
                             'write; for several nodes give --store http://HOST:19530/COLLECTION')
        if self.is_first:
            with writing(index) as store:
                yield store
        else:
            yield None

    @contextmanager
    def shared(self, index: str, store: Any) -> Iterator[Any]:
        """Let all write, once the first one has settled by which model.

        Args:
            index (str): The index.
            store (Any): What :meth:`writing` yielded.

        Yields:
            Any: What this process writes into.
        """
        if self.count == 1:
            yield store
        elif is_remote(index):
            self.wait()
            if self.is_first:
                yield store
            else:
                with closing(open_store(index, create=True)) as own:
                    yield own
        else:
            yield self._served(store) if self.is_first else _connected(*self._told(None))

    def _served(self, store: Any) -> '_LockedStore':
        """Begin to write for the others; return what this process writes into, by turns."""
        key, locked = secrets.token_bytes(32), _LockedStore(store)

        class Manager(BaseManager):
            """Of this process; its registry is its own."""
        Manager.register('store', callable=lambda: locked, exposed=_SERVED)
        server = Manager(authkey=key).get_server()
        # it ends with this process, which outlives the others
        threading.Thread(target=server.serve_forever, name='writes for all', daemon=True).start()
        self._told((server.address, key))
        return locked

    def _told(self, value: Any) -> Any:
        values = [value]
        dist.broadcast_object_list(values)
        return values[0]


class _LockedStore:
    """A store whose changes and answers take turns.

    Args:
        store (IndexStore): For writing.
    """

    def __init__(self, store: Any) -> None:
        self._store, self._lock = store, threading.Lock()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        def locked(*args: Any) -> Any:
            with self._lock:
                return method(*args)
        return locked


class _Manager(BaseManager):
    """Of the process that writes, seen from another one."""


_Manager.register('store', exposed=_SERVED)


def _connected(address: Any, key: bytes) -> Any:
    """Return the store of the process that writes."""
    manager = _Manager(address, authkey=key)
    manager.connect()
    return manager.store()
