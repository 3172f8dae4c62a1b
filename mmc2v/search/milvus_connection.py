"""A server of Milvus by address, waited for where it was there and is gone."""
from __future__ import annotations

import logging
import os
import re
import sys
import time
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

_SECONDS = 30  # that one call may take
# Seconds for which a server that was there is waited for, and between two tries.
_PATIENCE, _BETWEEN_TRIES = 120, 1.0
# Codes of errors: those that do not pass (not found, wrong arguments, no right to do it), and of a
# collection that the server does not hold ready.
_LASTING = {100, 1100, 1101, 1400, 1401, 1402, 1801, 1802}
_NOT_LOADED = 101
_TOKEN = 'MMC2V_MILVUS_TOKEN'


class Place(NamedTuple):
    """Where a collection is.

    Attributes:
        uri (str): Of the server.
        database (str): '' for the default one.
        name (str): Of the collection.
        parameters (dict[str, int]): Of the search, for an index that an operator has chosen.
    """

    uri: str
    database: str
    name: str
    parameters: dict[str, int]


def parse_address(address: str) -> Place:
    """Read an address, ``http://HOST:PORT/[DATABASE/]COLLECTION[?nprobe=64]``.

    Raises:
        ValueError: With what is wrong.
    """
    form = 'http://HOST:19530/COLLECTION'
    try:
        parts = urlsplit(address)
        port = parts.port or 19530
    except ValueError as error:
        raise ValueError(f"'{address}' is no address of a store ({error}); it has the form "
                         f'{form}') from None
    if parts.username is not None or parts.password is not None:
        raise ValueError('a password in an address is seen by everyone on this machine; give '
                         f'USER:PASSWORD or a token in the environment variable {_TOKEN}')
    names = parts.path.strip('/').split('/')
    if parts.scheme not in ('http', 'https') or not parts.hostname or len(names) > 2 or not all(
            re.fullmatch('[A-Za-z_][A-Za-z0-9_]{0,199}', name) for name in names):
        raise ValueError(f"'{address}' is no address of a store; it has the form {form}, the name "
                         'of letters, digits and underscores')
    given = parse_qsl(parts.query, keep_blank_values=True)
    if not all(key.isidentifier() and value.isdecimal() for key, value in given):
        raise ValueError(f"'{address}': after the question mark come parameters of Milvus' search "
                         'with whole numbers, such as nprobe=64')
    host = f'[{parts.hostname}]' if ':' in parts.hostname else parts.hostname
    return Place(f'{parts.scheme}://{host}:{port}', names[0] if len(names) == 2 else '', names[-1],
                 {key: int(value) for key, value in given})


class Connection:
    """Does things on a server.

    Args:
        address (str): See :func:`parse_address`.

    Attributes:
        place (Place): What the address says.

    Raises:
        ValueError: If it is no address.
    """

    def __init__(self, address: str) -> None:
        self._address, self.place = address, parse_address(address)
        self._client: Any = None
        self._is_known = False  # whether the server ever answered

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Do something on the server; wait for one that was there and is gone.

        Raises:
            OSError: If it does not come back, or says no.
        """
        kwargs.setdefault('timeout', _SECONDS)
        pymilvus = import_pymilvus()
        end = time.monotonic() + (_PATIENCE if self._is_known else 0)
        is_said = False
        while True:
            try:
                found = getattr(self._connected(), method)(*args, **kwargs)
                self._is_known = True
                return found
            except (pymilvus.MilvusException, ConnectionError, TimeoutError) as error:
                self.close()
                if getattr(error, 'code', None) in _LASTING or time.monotonic() > end:
                    raise self._error(method, error) from error
                is_let_go = getattr(error, 'code', None) == _NOT_LOADED
                if not is_said and not is_let_go:
                    print(f'the server of {self._address} does not answer; waiting for it',
                          file=sys.stderr, flush=True)
                    is_said = True
                time.sleep(_BETWEEN_TRIES)
                if is_let_go:
                    self._load_again(*args[:1])

    def _load_again(self, name: str) -> None:
        """Load a collection that the server has let go of, as by a crash while it was made."""
        with suppress(import_pymilvus().MilvusException, ConnectionError, TimeoutError):
            self._connected().load_collection(name, timeout=_SECONDS)

    def _error(self, what: str, error: Exception) -> OSError:
        text = ' '.join(str(getattr(error, 'message', None) or error).split())[:300]
        if getattr(error, 'code', None) in _LASTING:
            return OSError(f"the store '{self._address}' refuses {what}: {text}")
        return OSError(f"the store '{self._address}' cannot be reached ({text}). Is the server "
                       'running, and the address right? What was indexed stays; the same command '
                       'goes on')

    def _connected(self) -> Any:
        if self._client is None:
            pymilvus = import_pymilvus()
            self._client = pymilvus.MilvusClient(
                uri=self.place.uri, token=os.environ.get(_TOKEN, ''),
                db_name=self.place.database, timeout=5)
        return self._client

    def close(self) -> None:
        """End it; the next call begins another one."""
        client, self._client = self._client, None
        if client is not None:
            client.close()


def import_pymilvus() -> Any:
    """Return the package.

    Raises:
        ImportError: If it is not installed.
    """
    try:
        import pymilvus
    except ImportError:
        raise ImportError("a store by address needs pymilvus: pip install 'mmc2v[milvus]'"
                          ) from None
    for name in ('pymilvus', 'pymilvus.decorators', 'pymilvus.client'):  # we say it ourselves
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return pymilvus
