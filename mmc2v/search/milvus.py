"""An index in Milvus, for more clips than one machine holds, and for many processes that write.

Two collections: that of the name has a row a clip, the other one (``NAME_files``) a row a file.
Ids are made of what is in a file and where, so that what is written twice is written once. A file's
row comes after the rows of its clips: what has no file is unfinished, and is not found.

C clips of a file, D width of their vectors.
"""
from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any, Optional

import numpy as np

from .milvus_connection import Connection, import_pymilvus
from .records import Content, FileRecord, Outline, Stat, Store, UnusableIndexError, drawn

_FORMAT = 1
_PREFIX = 'mmc2v.'  # of our properties of a collection
_SECONDS_OF_FLUSH = 3600  # that it may take
# Rows of one call, and values of one list in a filter.
_ROWS, _LISTED, _MOST_ROWS = 1000, 1000, 16384
_LOTS = 2 ** 30
_MOST_TEXT, _MOST_PATH = 4000, 32768
# Seconds after which clips of no file are taken for what a killed run has left; also by how much
# the clocks of those who write may differ.
_ABANDONED = 3600
# Among our properties: when the collection last changed, and when all of it was seen to be whole.
_CHANGED, _WHOLE = 'changed', 'whole'
# Of a query with a limit: the rows of the least ids.
_IN_ORDER = dict(iterator='True', reduce_stop_for_best='True')
_FILE_FIELDS = ['path', 'size', 'mtime', 'digest', 'reason']
_CLIP_FIELDS = ['digest', 'number', 'start', 'end', 'duration']


class MilvusStore(Store):
    """Reads and writes an index in Milvus; see :class:`~mmc2v.search.store.IndexStore`.

    Contents are known by the hexadecimal digest of their bytes.

    Args:
        address (str): See :func:`~mmc2v.search.milvus_connection.parse_address`.
        create (bool): It is made where there is none, once its settings are known. By default it
            is only read.
        check (bool): Look whether it is whole. Defaults to True.

    Raises:
        ImportError: If pymilvus is not installed.
        FileNotFoundError: If there is no such collection.
        UnusableIndexError: If it is none of ours.
        OSError: If the server cannot be reached.
    """

    def __init__(self, address: str, create: bool = False, check: bool = True) -> None:
        self.path, self._connection = address, Connection(address)
        self._place, self._call = self._connection.place, self._connection.call
        self._name, self._files = self._place.name, f'{self._place.name}_files'
        self._replaced: set[str] = set()  # contents that files had before
        self._written: dict[str, dict[str, Any]] = {}  # contents of files of this run
        self._is_there = self._call('has_collection', self._name)
        if self._is_there and check:
            self._check()
            # what is read from here on is at least as new as now
            for name in (self._files, self._name):
                self._call('load_collection', name)  # it may have been let go of
                self._count(name, '', 'Strong')
        elif not self._is_there and not create:
            raise FileNotFoundError(f"there is no index '{address}'; make one: python tools/"
                                    f"search.py index FOLDER --store '{address}'")

    def refuse_foreign(self) -> None:
        """Refuse a collection that is none of ours, and is not to be replaced.

        Raises:
            UnusableIndexError: If it is there and has not our properties.
        """
        if self._is_there:
            self._own_format()

    def _own_format(self) -> Any:
        found = self._properties().get('format')
        if found is None:
            raise UnusableIndexError(f"'{self.path}' is a collection of something else; choose "
                                     'another name')
        return found

    def _check(self) -> None:
        found = self._own_format()
        if found != _FORMAT:
            raise UnusableIndexError(f"'{self.path}' is an index of format {found}; this mmc2v "
                                     f'reads format {_FORMAT}. Make it anew with --rebuild')
        if not self._call('has_collection', self._files):
            raise self.damaged(f'the collection {self._files} is not there')

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """See :meth:`IndexStore.reading`; a file that is written meanwhile may be seen."""
        yield

    @property
    def is_in_place(self) -> bool:
        """Whether the collection is still there."""
        return self._call('has_collection', self._name)

    @property
    def version(self) -> Any:
        """What changes when files are added, and when a run ends that has changed some."""
        return self._properties().get(_CHANGED), self._count(self._files, '')

    def _properties(self) -> dict[str, Any]:
        found = {}
        for key, value in self._call('describe_collection', self._name)['properties'].items():
            if key.startswith(_PREFIX):
                try:
                    found[key[len(_PREFIX):]] = json.loads(value)
                except (TypeError, ValueError, RecursionError):
                    raise self.damaged(f'the property {key!r} is no JSON') from None
        return found

    def _all_settings(self) -> dict[str, Any]:
        if not self._is_there:
            return {}
        found = self._properties()
        return {key: found[key] for key in found if key not in ('format', _CHANGED, _WHOLE)}

    def set(self, settings: Mapping[str, Any]) -> None:
        """Write settings beside those that are there; the first ones make the collections."""
        if self._is_there:
            self._call('alter_collection_properties', self._name, _encoded(settings))
            return
        self._create(int(settings['width']), dict(settings, format=_FORMAT))
        self._is_there = True

    def _create(self, width: int, properties: Mapping[str, Any]) -> None:
        """Make the collections; that of the files first, so that there is both or nothing."""
        kind = import_pymilvus().DataType
        text = dict(datatype=kind.VARCHAR)
        fields = {
            self._files: dict(
                id=dict(text, is_primary=True, max_length=64),
                path=dict(text, max_length=_MOST_PATH), size=dict(datatype=kind.INT64),
                mtime=dict(datatype=kind.INT64), digest=dict(text, max_length=64),
                duration=dict(datatype=kind.DOUBLE), damage=dict(text, max_length=4 * _MOST_TEXT),
                reason=dict(text, max_length=4 * _MOST_TEXT),
                clips=dict(datatype=kind.INT32), written=dict(datatype=kind.INT64),
                # each collection has to have one
                place=dict(datatype=kind.FLOAT_VECTOR, dim=2)),
            self._name: dict(
                id=dict(text, is_primary=True, max_length=128), digest=dict(text, max_length=64),
                number=dict(datatype=kind.INT32), start=dict(datatype=kind.DOUBLE),
                end=dict(datatype=kind.DOUBLE), duration=dict(datatype=kind.DOUBLE),
                whole=dict(datatype=kind.BOOL), written=dict(datatype=kind.INT64),
                lot=dict(datatype=kind.INT32),  # as if drawn: what is below some is a sample
                vector=dict(datatype=kind.FLOAT_VECTOR, dim=width))}
        for name, columns in fields.items():
            if self._call('has_collection', name):  # of one that was half made
                self._call('drop_collection', name)
            schema = import_pymilvus().MilvusClient.create_schema(auto_id=False,
                                                                   enable_dynamic_field=False)
            for column, options in columns.items():
                schema.add_field(column, **options)
            indexes = import_pymilvus().MilvusClient.prepare_index_params()
            if name == self._name:
                indexes.add_index('vector', index_type='HNSW', metric_type='IP',
                                  params=dict(M=16, efConstruction=200))
            else:
                indexes.add_index('place', index_type='FLAT', metric_type='IP')
            indexes.add_index('digest', index_type='')  # what suits a text
            self._call('create_collection', name, schema=schema, index_params=indexes,
                       consistency_level='Bounded',
                       properties=_encoded(properties) if name == self._name else {})

    def drop(self) -> None:
        """Delete the collections."""
        for name in (self._name, self._files):
            self._call('drop_collection', name)

    def take_place_of(self, other: MilvusStore) -> None:
        """Replace another index of the same server by this one."""
        other.drop()
        # that of the clips last: without it there is no index, and not half of one
        self._call('rename_collection', self._files, other._files)
        self._call('rename_collection', self._name, other._name)

    # files

    def files(self) -> dict[str, FileRecord]:
        """Return what is known of each file, by path."""
        return dict(map(self._file, self._all(self._files, '', _FILE_FIELDS, 'Strong')))

    def files_of(self, content: str) -> dict[str, FileRecord]:
        """Return the files that have a content, by path, in the order of names."""
        return dict(sorted(map(self._file, self._listed(self._files, 'digest', [content],
                                                        _FILE_FIELDS))))

    def _file(self, row: Mapping[str, Any]) -> tuple[str, FileRecord]:
        return _path(row['path']), FileRecord(Stat(row['size'], row['mtime']),
                                              row['digest'] or None, row['reason'] or None)

    def content_of(self, digest: bytes) -> Optional[str]:
        """Return the number of a content, or None where it is not in the index."""
        return digest.hex() if self._one_file(digest.hex()) else None

    def _one_file(self, content: str) -> Optional[dict[str, Any]]:
        """Return fields of one of the files that have a content.

        What others wrote within the last seconds may be missing: to read a copy once more is
        harmless, to wait for the newest state before each file is not.
        """
        if content in self._written:
            return self._written[content]
        rows = self._call('query', self._files, filter=is_in('digest', [content]), limit=1,
                          output_fields=['duration', 'damage', 'clips'])
        return rows[0] if rows else None

    def _with_files(self, digests: Sequence[str]) -> set[str]:
        """Return which contents some file has."""
        return {row['digest'] for row in self._listed(self._files, 'digest', digests, ['digest'],
                                                      'Strong')}

    def videos(self, digests: Sequence[str]) -> dict[str, list[str]]:
        """Return the paths of contents, in the order of names; of those that files have."""
        found: dict[str, list[str]] = {}
        for row in self._listed(self._files, 'digest', digests, ['path', 'digest']):
            found.setdefault(row['digest'], []).append(_path(row['path']))
        return {digest: sorted(paths) for digest, paths in found.items()}

    def add(self, path: str, stat: Stat, content: Content) -> None:
        """Put a file with what is in it into the index: its clips, and then itself."""
        digest, several = content.digest.hex(), len(content.spans) > 1
        now = int(time.time())
        rows = []
        for number, ((start, end), vector) in enumerate(zip(content.spans.tolist(),
                                                            content.vectors)):
            is_whole = several and number == len(content.spans) - 1
            name = clip_row_id(digest, start, is_whole)
            rows.append(dict(id=name, digest=digest, number=number, start=start, end=end,
                             duration=content.duration, whole=is_whole, written=now,
                             lot=drawn(name.encode()) % _LOTS, vector=vector.astype(np.float32)))
        for some in _chunks(rows, _ROWS):
            self._call('upsert', self._name, some)
        self._put(path, stat, digest, dict(duration=content.duration, clips=len(rows),
                                           damage=content.damage))

    def link(self, path: str, stat: Stat, content: str) -> None:
        """Say that a file has a content that is in the index already."""
        other = self._one_file(content)
        if other:  # otherwise it was removed meanwhile, and the next run reads the file
            self._put(path, stat, content, other)

    def refuse(self, path: str, stat: Stat, reason: str) -> None:
        """List a file with the reason for which it cannot be read."""
        self._put(path, stat, '', dict(duration=0.0, clips=0, damage=None), reason)

    def _put(self, path: str, stat: Stat, digest: str, of_content: Mapping[str, Any],
             reason: str = '') -> None:
        text = _text(path)
        if len(text.encode()) > _MOST_PATH:
            raise ValueError(f'the path {path!r} is longer than {_MOST_PATH} bytes')
        name = _file_id(path)
        before = self._listed(self._files, 'id', [name], ['digest'])
        self._replaced.update({row['digest'] for row in before} - {digest, ''})
        if digest:
            self._written[digest] = dict(of_content)
        self._call('upsert', self._files, [dict(
            id=name, path=text, size=stat.size, mtime=stat.mtime, digest=digest,
            duration=of_content['duration'], clips=of_content['clips'],
            damage=(of_content['damage'] or '')[:_MOST_TEXT], reason=reason[:_MOST_TEXT],
            written=int(time.time()), place=[0.0, 0.0])])

    def remove(self, paths: Sequence[str]) -> None:
        """Forget files, and what was in them alone."""
        names = [_file_id(path) for path in paths]
        for some in _chunks(names, _LISTED):
            self._replaced.update(row['digest'] for row in self._listed(
                self._files, 'id', some, ['digest'], 'Strong') if row['digest'])
            self._call('delete', self._files, ids=some)
        self._forget(self._replaced)
        self._note_change()

    def settle(self) -> int:
        """Have what was written made fast, and list files of which the server has lost clips.

        A server that was killed may come back without rows that it had acknowledged. Called when
        all have written; what is listed is as if it had changed, to be read again.

        Returns:
            int: How many files were listed.
        """
        if not self._is_there:
            return 0
        now = int(time.time())
        for name in (self._name, self._files):
            self._call('flush', name, timeout=_SECONDS_OF_FLUSH)
        lost = self.lost(recently=True)
        files = dict(map(self._file, self._listed(self._files, 'digest', lost, _FILE_FIELDS,
                                                  'Strong')))
        for path, record in files.items():
            self.refuse(path, record.stat._replace(mtime=-1), 'the server of the index has lost '
                        'what was in it; run index again')
        for digest in lost:
            self._written.pop(digest, None)
        if not lost:
            self._call('alter_collection_properties', self._name, _encoded({_WHOLE: now}))
        return len(files)

    def lost(self, recently: bool = False) -> list[str]:
        """Return the contents of files of which there are fewer clips than were written.

        Args:
            recently (bool): Look at what was written since all was whole, and at the rest where
                the number of all clips is too small. Defaults to False: look at everything.
        """
        clips, looked_at = {}, set()
        since = self._properties().get(_WHOLE, 0) - _ABANDONED if recently else 0
        for row in self._pages(self._files, 'digest != ""', ['digest', 'clips', 'written'],
                               'Strong'):
            clips[row['digest']] = row['clips']
            if row['written'] >= since:
                looked_at.add(row['digest'])
        if self._is_there and self._count(self._name, '', 'Strong') < sum(clips.values()):
            looked_at = set(clips)
        lost = []
        for some in _chunks(sorted(looked_at), _LISTED):
            found = Counter(row['digest'] for row in self._listed(
                self._name, 'digest', some, ['digest'], 'Strong'))
            lost += [digest for digest in some if found[digest] < clips[digest]]
        return lost

    def finish(self) -> None:
        """Let go of contents that no file has any more.

        Called once at the end of a run, when nobody else writes.
        """
        if not self._is_there:
            return
        old = int(time.time()) - _ABANDONED
        known = {row['digest'] for row in self._all(self._files, '', ['digest'], 'Strong')}
        left = {row['digest'] for row in self._all(
            self._name, f'number == 0 and written < {old}', ['digest'])} - known
        self._forget(left | self._replaced)
        self._note_change()

    def _forget(self, digests: Iterable[str]) -> None:
        """Delete the clips of contents that no file has."""
        digests = sorted(digests)
        for some in _chunks(digests, _LISTED):
            gone = sorted(set(some) - self._with_files(some))
            if gone:
                self._call('delete', self._name, filter=is_in('digest', gone))
        self._replaced.difference_update(digests)
        self._written.clear()

    def _note_change(self) -> None:
        self._call('alter_collection_properties', self._name, _encoded({
            _CHANGED: time.time_ns()}))

    # clips

    def find(self, prefix: bytes) -> Optional[Outline]:
        """Return the content whose digest begins with some bytes; None where there is none."""
        rows = self._all(self._name, f'digest like "{prefix.hex()}%"', _CLIP_FIELDS)
        rows = [row for row in rows if row['digest'] == rows[0]['digest']]
        if sorted(row['number'] for row in rows) != list(range(len(rows))):
            raise self.damaged(f"content {rows[0]['digest']} is not of whole clips")
        return self._outline(rows) if rows else None

    def _outline(self, rows: list[dict[str, Any]]) -> Outline:
        rows.sort(key=lambda row: row['number'])
        digest = rows[0]['digest']
        return Outline(digest, bytes.fromhex(digest), rows[0]['duration'], None,
                       np.array([(row['start'], row['end']) for row in rows]))

    def outlines(self) -> Iterator[Outline]:
        """Yield what is known of all contents that files have, without vectors or spans."""
        seen = set()
        for row in self._all(self._files, 'digest != ""', ['digest', 'duration', 'damage']):
            if row['digest'] not in seen:
                seen.add(row['digest'])
                yield Outline(row['digest'], bytes.fromhex(row['digest']), row['duration'],
                              row['damage'] or None, np.zeros((0, 2)))

    def contents(self) -> Iterator[tuple[str, Content]]:
        """Yield number and content of all, in the order of digests, with the clips that are there.

        See :meth:`lost` for those that are not.
        """
        damage = {row['digest']: row['damage'] for row in self._all(
            self._files, 'digest != ""', ['digest', 'damage'], 'Strong')}
        pages = self._pages(self._name, '', [*_CLIP_FIELDS, 'vector'], 'Strong')
        for digest, clips in groupby(pages, lambda row: row['digest']):
            rows = list(clips)
            outline = self._outline(rows)
            vectors = np.array([row['vector'] for row in rows], np.float16)
            yield digest, Content(outline.digest, outline.duration, outline.spans, vectors,
                                  damage.get(digest) or None)

    def vector(self, content: str, clip: int) -> Optional[np.ndarray]:
        """Return the (D,) float32 vector of a clip, or None where it is not there."""
        rows = self._call('query', self._name, output_fields=['vector'], limit=1,
                          filter=f'{is_in("digest", [content])} and number == {int(clip)}')
        return np.array(rows[0]['vector'], np.float32) if rows else None

    def sample(self, count: int) -> np.ndarray:
        """Return (S, D) float32 vectors of about so many clips, whose lots are the least."""
        share = count / max(1, self._count(self._name, ''))
        condition = 'whole == false'
        if share < 1:
            condition += f' and lot < {int(share * _LOTS)}'
        rows = self._call('query', self._name, filter=condition, output_fields=['vector'],
                          limit=min(_MOST_ROWS, 4 * count))
        return np.array([row['vector'] for row in rows], np.float32).reshape(-1, self.width)

    def nearest(self, vector: np.ndarray, condition: str, count: int) -> list[dict[str, Any]]:
        """Return fields of the clips that are likely nearest to a vector.

        Args:
            vector (np.ndarray): (D,) float32.
            condition (str): A filter of Milvus.
            count (int): Of clips, at most 16,384.
        """
        count = min(count, _MOST_ROWS)
        # as wide as what is asked for, without which the nearest ones are missed
        parameters = {'ef': 2 * count, **self._place.parameters}
        found = self._call('search', self._name, data=[vector.astype(np.float32)],
                           filter=condition, limit=count, search_params=dict(
                               metric_type='IP', params=parameters),
                           output_fields=[*_CLIP_FIELDS, 'vector'])[0]
        return list({hit['id']: dict(hit['entity']) for hit in found}.values())

    def counts(self) -> dict[str, int]:
        """Return how many files, contents and clips there are, and bytes of vectors."""
        clips = self._count(self._name, '')
        lengths = {outline.number: outline.duration for outline in self.outlines()}
        return dict(files=self._count(self._files, ''), contents=len(lengths), clips=clips,
                    unreadable=self._count(self._files, 'digest == ""'),
                    vector_bytes=4 * clips * self.width, hours=sum(lengths.values()) / 3600)

    def fault(self) -> Optional[str]:
        """Return None: Milvus looks after its files itself."""

    def _count(self, name: str, condition: str, consistency: str = 'Bounded') -> int:
        return self._call('query', name, filter=condition, output_fields=['count(*)'],
                          consistency_level=consistency)[0]['count(*)']

    def _listed(self, name: str, field: str, values: Sequence[str], fields: Sequence[str],
                consistency: str = 'Bounded') -> list[dict[str, Any]]:
        """Return rows that have one of some values."""
        rows = []
        for part in _chunks(values, _LISTED):
            condition = is_in(field, part)
            some = self._call('query', name, filter=condition, output_fields=list(fields),
                              limit=_MOST_ROWS, consistency_level=consistency)
            if len(some) >= _MOST_ROWS:  # there may be more, as of a file with many copies
                some = self._all(name, condition, fields, consistency)
            rows += some
        return rows

    def _all(self, name: str, condition: str, fields: Sequence[str],
             consistency: str = 'Bounded') -> list[dict[str, Any]]:
        return list(self._pages(name, condition, fields, consistency))

    def _pages(self, name: str, condition: str, fields: Sequence[str],
               consistency: str = 'Bounded') -> Iterator[dict[str, Any]]:
        """Yield rows in the order of ids, however many."""
        if not self._is_there:
            return
        if consistency == 'Strong':
            # the client leaves this word out of queries in order; what follows is as new as this
            self._count(name, '', consistency)
        last = ''
        while True:
            # pages by id: an iterator of the client would not outlive the server
            after = f'id > {json.dumps(last)}' + (f' and ({condition})' if condition else '')
            rows = self._call('query', name, filter=after, output_fields=['id', *fields],
                              limit=_ROWS, **_IN_ORDER)
            if not rows:
                return
            rows.sort(key=lambda row: row['id'])
            yield from rows
            last = rows[-1]['id']


def _encoded(properties: Mapping[str, Any]) -> dict[str, str]:
    return {f'{_PREFIX}{key}': json.dumps(value) for key, value in properties.items()}


def is_in(field: str, values: Sequence[str]) -> str:
    """Return the filter of Milvus that takes some values of a field."""
    return f'{field} in {json.dumps(list(values))}'


def clip_row_id(digest: str, start: float, is_whole: bool) -> str:
    """Return the id of a clip: of what is in its file, and where it begins."""
    return f'{digest}-' + ('whole' if is_whole else f'{round(1e6 * start):015d}')


def _chunks(values: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Yield the values, so many at a time."""
    return (values[first:first + size] for first in range(0, len(values), size))


def _file_id(path: str) -> str:
    return hashlib.blake2b(os.fsencode(path), digest_size=16).hexdigest()


def _text(path: str) -> str:
    """Return a path as a text of Unicode, which not every name of a file is."""
    return os.fsencode(path.replace('\\', '\\\\')).decode('utf-8', 'backslashreplace')


def _path(text: str) -> str:
    """Return the path of a text; the inverse of :func:`_text`."""
    data = re.sub(rb'\\(\\|x[0-9a-f]{2})', lambda match: b'\\' if match[1] == b'\\'
                  else bytes.fromhex(match[1][1:].decode()), text.encode())
    return os.fsdecode(data)
