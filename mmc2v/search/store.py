"""The index of one's videos: a SQLite file, the only truth.

C clips of a file, D width of their vectors.
"""
import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Any, Optional, Union

import numpy as np

from .records import Content, FileRecord, Outline, Stat, Store, UnusableIndexError

FORMAT = 1
_APPLICATION = 0x6D6D3276  # 'mm2v', in the header of the file
_SCHEMA = """
CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE contents (id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, duration REAL NOT NULL,
    damage TEXT, spans BLOB NOT NULL, vectors BLOB NOT NULL);
CREATE TABLE files (path BLOB PRIMARY KEY, size INTEGER NOT NULL, mtime INTEGER NOT NULL,
    content INTEGER REFERENCES contents (id), reason TEXT) WITHOUT ROWID;
CREATE INDEX files_of_contents ON files (content);
"""
# So that a vector fills its pages: larger ones would leave half of each empty.
_PAGE_BYTES = 1024
# Of a video, that no index of ours has.
_MAX_SECONDS = 1e8
_DIGEST_BYTES = 32
_PATIENCE_WITH_READERS = 200  # milliseconds


class IndexStore(Store):
    """Reads and writes an index; every change is a transaction that is on the disk when it ends.

    Readers see the index as it was before a change or after it, also while another process writes.

    Args:
        path (str | Path): The file.
        create (bool): Make it where there is none, for writing. By default it is only read.

    Raises:
        FileNotFoundError: If there is no such file.
        UnusableIndexError: If it is no index, or one of another format.
        OSError: If it cannot be opened or written.
    """

    def __init__(self, path: Union[str, Path], create: bool = False) -> None:
        self.path = os.path.abspath(path)
        if os.path.exists(self.path) and not os.path.isfile(self.path):
            raise UnusableIndexError(f"'{path}' is no file; choose another name for the index")
        if not create and not exists(self.path):
            raise FileNotFoundError(f"there is no index '{path}'; make one: python tools/search.py "
                                    f"index FOLDER --index '{path}'")
        self._writes = create
        with self._errors():
            if not exists(self.path):
                _create(self.path)
            self._db = self._connect()
            self._prepare()
        self._identity = _identity(self.path)

    def _connect(self) -> sqlite3.Connection:
        address = Path(self.path).as_uri()
        options = dict(uri=True, isolation_level=None, timeout=30)
        if self._writes:
            # the processes that index together are served by a thread each, in turn
            return sqlite3.connect(address, check_same_thread=False, **options)
        folder = os.path.dirname(self.path)
        if os.access(self.path, os.W_OK) and os.access(folder, os.W_OK):
            # what a killed run left is put right by whoever comes next, and that is a change
            db = sqlite3.connect(f'{address}?mode=rw', check_same_thread=False, **options)
            db.execute('PRAGMA query_only = ON')
            return db
        # a log of changes can only be read where its folder can be written, or when it is empty
        is_fixed = not os.access(folder, os.W_OK) and not os.path.exists(f'{self.path}-wal')
        return sqlite3.connect(f'{address}?mode=ro{"&immutable=1" * is_fixed}',
                               check_same_thread=False, **options)

    def _prepare(self) -> None:
        self._db.execute('PRAGMA trusted_schema = OFF')
        if self._db.execute('PRAGMA application_id').fetchone()[0] != _APPLICATION:
            raise UnusableIndexError(f"'{self.path}' is no index of mmc2v; choose another name")
        version = self._db.execute('PRAGMA user_version').fetchone()[0]
        if version != FORMAT:
            raise UnusableIndexError(f"'{self.path}' is an index of format {version}; this mmc2v "
                                     f'reads format {FORMAT}. Make it anew with --rebuild')
        # a stranger's could have views and triggers, which compute without end, or change
        others = set(_schema_of(self._db)) ^ set(_schema())
        if others:
            raise self.damaged(f'{sorted(others)[0][1]!r} is not as it has to be')
        if self._writes:
            self._db.execute('PRAGMA journal_mode = WAL')
            self._db.execute('PRAGMA synchronous = FULL')
            self._db.execute('PRAGMA foreign_keys = ON')

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Name the file in SQLite's errors."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            name = getattr(error, 'sqlite_errorname', '')
            if name in ('SQLITE_NOTADB', 'SQLITE_CORRUPT') or 'malformed' in str(error):
                raise UnusableIndexError(
                    f"'{self.path}' is damaged or no index ({error}); if it was one, make it anew "
                    'with --rebuild') from error
            raise OSError(f"the index '{self.path}': {error}") from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make what is changed within the block one change: all of it or nothing."""
        with self._errors():
            self._db.execute('BEGIN IMMEDIATE')
            try:
                yield
                self._db.execute('COMMIT')
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute('ROLLBACK')
                raise

    def close(self) -> None:
        """Close it; after writing it is one file again, unless someone reads."""
        if self._writes:
            with self._errors():
                self._db.execute('PRAGMA wal_checkpoint(TRUNCATE)')
            with suppress(sqlite3.OperationalError):  # readers would make a log anew
                self._db.execute(f'PRAGMA busy_timeout = {_PATIENCE_WITH_READERS}')
                self._db.execute('PRAGMA journal_mode = DELETE')
        self._db.close()

    def copy_into(self, other: 'IndexStore') -> None:
        """Replace all that another index holds, in one change."""
        with other._errors():
            self._db.backup(other._db)

    @property
    def is_in_place(self) -> bool:
        """Whether the file that is open is the one of that name, and not replaced or gone."""
        try:
            return _identity(self.path) == self._identity
        except FileNotFoundError:
            return False

    @property
    def version(self) -> int:
        """A number that changes when another process has changed the index."""
        with self._errors():
            return self._db.execute('PRAGMA data_version').fetchone()[0]

    def _all_settings(self) -> dict[str, Any]:
        settings = {}
        with self._errors():
            for key, value in self._db.execute('SELECT key, value FROM settings'):
                try:
                    settings[key] = json.loads(value)
                except (TypeError, ValueError, RecursionError):
                    raise self.damaged(f'the setting {key!r} is no JSON') from None
        return settings

    def set(self, settings: Mapping[str, Any]) -> None:
        """Write settings beside those that are there."""
        with self.transaction():
            self._db.executemany('REPLACE INTO settings VALUES (?, ?)',
                                 [(key, json.dumps(value)) for key, value in settings.items()])

    def find(self, prefix: bytes) -> Optional[Outline]:
        """Return the content whose digest begins with some bytes; None where there is none.

        Args:
            prefix (bytes): At most as long as a digest.
        """
        with self._errors():
            row = self._db.execute(
                'SELECT id, digest, duration, damage, spans FROM contents WHERE digest >= ? '
                'ORDER BY digest LIMIT 1', [prefix]).fetchone()
        found = None if row is None else self._outline(*row)
        return found if found is not None and found.digest.startswith(prefix) else None

    def files_of(self, content: int) -> dict[str, FileRecord]:
        """Return the files that have a content, by path, in the order of names."""
        with self._errors():
            return dict(map(self._file, self._db.execute(
                'SELECT path, size, mtime, content, reason FROM files WHERE content = ? '
                'ORDER BY path', [content])))

    def files(self) -> dict[str, FileRecord]:
        """Return what is known of each file, by path."""
        with self._errors():
            return dict(map(self._file, self._db.execute(
                'SELECT path, size, mtime, content, reason FROM files')))

    def _file(self, row: tuple) -> tuple[str, FileRecord]:
        """Return path and record of a row, which another program may have written."""
        path, size, mtime, content, reason = row
        if not (type(path) is bytes and b'\0' not in path and type(size) is int
                and type(mtime) is int and type(content) in (int, NoneType)
                and type(reason) in (str, NoneType)):
            raise self.damaged(f'the file {path!r} is not as it has to be')
        return os.fsdecode(path), FileRecord(Stat(size, mtime), content, reason)

    def content_of(self, digest: bytes) -> Optional[int]:
        """Return the number of a content, or None where it is not in the index."""
        with self._errors():
            row = self._db.execute('SELECT id FROM contents WHERE digest = ?', [digest]).fetchone()
        return row and row[0]

    def add(self, path: str, stat: Stat, content: Content) -> None:
        """Put a file with what is in it into the index, in one transaction."""
        with self.transaction():
            self.insert(path, stat, content)

    def insert(self, path: str, stat: Stat, content: Content) -> None:
        """Do as :meth:`add`, within a transaction of the caller."""
        self._db.execute(
            'INSERT OR IGNORE INTO contents (digest, duration, damage, spans, vectors) '
            'VALUES (?, ?, ?, ?, ?)',  # another process may have read a copy meanwhile
            [content.digest, content.duration, content.damage,
             np.ascontiguousarray(content.spans, '<f8').tobytes(),
             np.ascontiguousarray(content.vectors, '<f2').tobytes()])
        self._put(path, stat, self.content_of(content.digest), None)

    def link(self, path: str, stat: Stat, content: int) -> None:
        """Say that a file has a content that is in the index already."""
        with self.transaction():
            self._put(path, stat, content, None)

    def refuse(self, path: str, stat: Stat, reason: str) -> None:
        """List a file with the reason for which it cannot be read."""
        with self.transaction():
            self._put(path, stat, None, reason)

    def remove(self, paths: Sequence[str]) -> None:
        """Forget files, and what was in them alone."""
        with self.transaction():
            for path in paths:
                self._put(path, None, None, None)

    def lost(self) -> list[int]:
        """Return the contents of which clips are missing: none, a content is one row."""
        return []

    def settle(self) -> int:
        """Return 0: of what was written nothing is lost."""
        return 0

    def finish(self) -> None:
        """Do what is due at the end of a run: nothing."""

    def _put(self, path: str, stat: Optional[Stat], content: Optional[int],
             reason: Optional[str]) -> None:
        name = os.fsencode(path)
        before = self._db.execute('SELECT content FROM files WHERE path = ?', [name]).fetchone()
        if stat is None:
            self._db.execute('DELETE FROM files WHERE path = ?', [name])
        else:
            self._db.execute('REPLACE INTO files VALUES (?, ?, ?, ?, ?)',
                             [name, stat.size, stat.mtime, content, reason])
        if before is not None and before[0] != content:  # the last file that had it may be gone
            self._db.execute('DELETE FROM contents WHERE id = ? AND NOT EXISTS '
                             '(SELECT 1 FROM files WHERE content = ?)', [before[0]] * 2)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Let all that is read within the block be of one moment."""
        with self._errors():
            self._db.execute('BEGIN')
            try:
                yield
            finally:
                self._db.execute('COMMIT')

    def outlines(self) -> Iterator[Outline]:
        """Yield what is known of all contents without vectors, in the order of numbers."""
        with self._errors():
            for row in self._db.execute(
                    'SELECT id, digest, duration, damage, spans FROM contents ORDER BY id'):
                yield self._outline(*row)

    def contents(self) -> Iterator[tuple[int, Content]]:
        """Yield number and content of all, in the order of numbers."""
        with self._errors():
            for *row, vectors in self._db.execute(
                    'SELECT id, digest, duration, damage, spans, vectors FROM contents '
                    'ORDER BY id'):
                number, digest, duration, damage, spans = self._outline(*row)
                vectors = self._array(number, vectors, '<f2', len(spans), -1)
                yield number, Content(digest, duration, spans, vectors, damage)

    def _outline(self, number: int, digest: Any, duration: Any, damage: Any,
                 spans: Any) -> Outline:
        """Check what another program may have written."""
        if not (type(digest) is bytes and len(digest) == _DIGEST_BYTES
                and type(duration) is float and 0 <= duration < _MAX_SECONDS
                and type(damage) in (str, NoneType)):
            raise self.damaged(f'content {number} is not as it has to be')
        return Outline(number, digest, duration, damage, self._array(number, spans, '<f8', -1, 2))

    def vector(self, number: int, clip: int, width: int) -> np.ndarray:
        """Return the (D,) float16 vector of one clip.

        Args:
            number (int): Of the content.
            clip (int): Which of its clips.
            width (int): D.
        """
        with self._errors(), self._db.blobopen('contents', 'vectors', number,
                                               readonly=True) as blob:
            blob.seek(2 * width * clip)
            return np.frombuffer(blob.read(2 * width), '<f2')

    def _array(self, number: int, blob: Any, dtype: str, *shape: int) -> np.ndarray:
        """Return the array of a content, which another program may have written."""
        try:
            if type(blob) is bytes and blob:
                return np.frombuffer(blob, dtype).reshape(shape)
            raise TypeError
        except (TypeError, ValueError):
            raise self.damaged(f'content {number} is not of whole clips') from None

    @property
    def state(self) -> str:
        """A digest that changes with what is in the index."""
        digest = hashlib.blake2b(digest_size=16)
        with self._errors():
            for number, content in self._db.execute('SELECT id, digest FROM contents ORDER BY id'):
                digest.update(number.to_bytes(8, 'little') + content)
        return digest.hexdigest()

    def counts(self) -> dict[str, int]:
        """Return how many files, contents and clips there are, and bytes of vectors."""
        with self._errors():
            files, unreadable = self._db.execute(
                'SELECT count(*), count(reason) FROM files').fetchone()
            contents, clips, size = self._db.execute(
                'SELECT count(*), coalesce(sum(length(spans) / 16), 0), '
                'coalesce(sum(length(vectors)), 0) FROM contents').fetchone()
            hours = self._db.execute('SELECT coalesce(sum(duration), 0) / 3600.0 FROM contents'
                                     ).fetchone()[0]
        return dict(files=files, unreadable=unreadable, contents=contents, clips=clips,
                    vector_bytes=size, hours=hours)

    def fault(self) -> Optional[str]:
        """Return what SQLite finds wrong with the file itself, or None."""
        try:
            found = [row[0] for row in self._db.execute('PRAGMA integrity_check(3)')]
        except sqlite3.DatabaseError as error:
            return str(error)
        return None if found == ['ok'] else '; '.join(found)


def exists(path: str) -> bool:
    """Whether there is a file that is not empty."""
    return os.path.isfile(path) and os.path.getsize(path) > 0


def _create(path: str) -> None:
    """Write an empty index, or nothing."""
    partial = f'{path}.partial'
    delete_index(partial)
    delete_index(path)  # the log of one that was deleted would be taken for that of this one
    try:
        with closing(sqlite3.connect(partial, isolation_level=None)) as db:
            db.execute(f'PRAGMA page_size = {_PAGE_BYTES}')
            db.executescript(f'BEGIN; {_SCHEMA} PRAGMA application_id = {_APPLICATION}; '
                             f'PRAGMA user_version = {FORMAT}; COMMIT;')
        os.replace(partial, path)
    finally:
        delete_index(partial)


def _schema_of(db: sqlite3.Connection) -> list[tuple[str, ...]]:
    return [tuple(map(str, row)) for row in db.execute(
        'SELECT type, name, tbl_name, sql FROM sqlite_master')]


@cache
def _schema() -> list[tuple[str, ...]]:
    """Return what an index has, as SQLite tells it."""
    with closing(sqlite3.connect(':memory:')) as db:
        db.executescript(_SCHEMA)
        return _schema_of(db)


def _identity(path: str) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_dev, found.st_ino


def has_our_header(path: str) -> bool:
    """Whether a file begins as an index does."""
    with open(path, 'rb') as file:
        header = file.read(100)
    return header[:15] == b'SQLite format 3' and header[68:72] == _APPLICATION.to_bytes(4, 'big')


def delete_index(path: str) -> None:
    """Delete an index with the files that SQLite keeps beside it."""
    for suffix in ('', '-wal', '-shm', '-journal'):
        Path(f'{path}{suffix}').unlink(missing_ok=True)
