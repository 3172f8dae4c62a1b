"""Search over one's own videos, from Python.

Example:
    >>> from mmc2v.search import VideoSearch
    >>> with VideoSearch('my.index') as search:
    ...     search.add('~/Videos')
    ...     for hit in search.search('a red ring moves left'):
    ...         print(hit.paths[0], hit.moments[0].start, hit.moments[0].score)
"""
from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional, Union

import numpy as np

from mmc2v.export.runtime import is_exported

from . import approximate
from .clips import IndexedClips, Wanted
from .exported import ExportedSearchModel, from_torch
from .milvus import MilvusStore
from .milvus_clips import MilvusClips
from .milvus_connection import parse_address
from .nearest import Vectors
from .progress_file import SharedProgress
from .ranking import Moment, rank_moments
from .records import UnusableIndexError
from .scan import check_roots, inside
from .settings import check_settings, describe_exported
from .store import IndexStore, exists
from .stores import is_remote, open_store, option
from .windows import Windows

if TYPE_CHECKING:
    from .model import SearchModel
    from .ranks import Ranks
    from .report import Report

# By which approximate search is tried.
_SENTENCES = ('a person walks', 'a dog runs over grass', 'a man cooks', 'cars on a street',
              'children play', 'a woman talks to the camera', 'the sea', 'a red ring moves left')
# What makes vectors what they are; the checkpoint's place does not.
_FINGERPRINT = ('weights', 'model', 'pipeline', 'precision', 'window', 'stride')


@dataclass(frozen=True)
class VideoHit:
    """A video that was found.

    Attributes:
        paths (list[str]): Its names: the same file may lie in several places.
        duration (float): Seconds.
        moments (list[Moment]): The best first.
    """

    paths: list[str]
    duration: float
    moments: list[Moment]


class VideoSearch:
    """An index of videos and the model that made it. Threads that search take turns.

    Args:
        index (str | Path): File of the index, or address of one in Milvus, such as
            'http://HOST:19530/COLLECTION'; made by the first :meth:`add`.
        config (str, optional): Config of the model, or the folder of an exported one. Defaults to
            the index's own, and for a new one to zero-shot CLIP
            (:data:`~mmc2v.search.model.DEFAULT_CONFIG`).
        checkpoint (str, optional): Its checkpoint. Defaults likewise.
        window (float, optional): Seconds of a clip. Defaults to the index's, or 10.
        stride (float, optional): Seconds from one clip to the next. Defaults to the index's, or
            half a window.
        device (str, optional): Where the model runs. Defaults to a GPU if there is one.
        precision (str, optional): Of towers and neck, 'float32' or 'bfloat16'. Defaults to the
            index's, or see :func:`~mmc2v.search.model.describe`.
        cfg_options (Sequence[str]): Overrides of the config, ``key=value``.

    Attributes:
        note (str, optional): Why search is exact although there is a file for approximate search.

    Raises:
        ValueError: If the file is no index.
    """

    def __init__(self, index: Union[str, Path], config: Optional[str] = None,
                 checkpoint: Optional[str] = None, *, window: Optional[float] = None,
                 stride: Optional[float] = None, device: Optional[str] = None,
                 precision: Optional[str] = None, cfg_options: Sequence[str] = ()) -> None:
        self.index = _place_of(index)
        self.note: Optional[str] = None
        self._given = dict(config=config, checkpoint=checkpoint, window=window, stride=stride,
                           precision=precision, options=cfg_options)
        self._device = device
        self._mutex = threading.RLock()
        self._model: Union[SearchModel, ExportedSearchModel, None] = None
        self._store: Union[IndexStore, MilvusStore, None] = None
        self._loaded: Optional[tuple[Any, Any]] = None  # version, and what was read then
        self._approximate: Optional[approximate.ApproximateIndex] = None  # of the same version
        self._known: dict[str, Any] = {}
        if is_remote(self.index):
            with suppress(FileNotFoundError):  # to open it is what tells whether it is there
                self._known = self._settings_of(self.store)
        elif exists(self.index):
            with closing(open_store(self.index)) as store:
                self._known = self._settings_of(store)
        Windows(*self._windows)  # refuses those that cannot be

    def __enter__(self) -> VideoSearch:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        if self._store is not None:
            self._store.close()
        self._store = self._loaded = None

    def _let_go(self) -> None:
        """Read a store by address anew: it sees at once only what was written before it opened."""
        if is_remote(self.index):
            self.close()

    @property
    def store(self) -> Union[IndexStore, MilvusStore]:
        """The index, for reading."""
        if self._store is None:
            self._store = open_store(self.index)
        return self._store

    @property
    def _windows(self) -> tuple[float, float]:
        """Seconds of a window, and between two."""
        window, stride = (self._known.get(key) if self._given[key] is None else self._given[key]
                          for key in ('window', 'stride'))
        window = 10.0 if window is None else float(window)
        return window, window / 2 if stride is None else float(stride)

    @property
    def settings(self) -> dict[str, Any]:
        """What the index is or will be made by: the index's own where nothing else was given.

        Raises:
            ValueError: If it names models or transforms that are not registered.
        """
        settings = self._described()
        if settings.get('exported') or self._takes_the_index:  # whoever may have made them
            from_torch('model').refuse_unregistered(settings)
        return settings

    @property
    def _takes_the_index(self) -> bool:
        """Whether the model is the one that the index describes."""
        return bool(self._known) and not (self._given['config'] or self._given['options'])

    def _described(self) -> dict[str, Any]:
        """Return what :attr:`settings` does, of which nothing may be built yet."""
        window, stride = self._windows
        precision = self._given['precision'] or self._known.get('precision')
        config, checkpoint = self._given['config'], self._given['checkpoint']
        if config and is_exported(config):
            settings = describe_exported(config, checkpoint, precision, self._given['options'])
        elif self._takes_the_index:
            settings = dict(self._known, precision=precision)
            if checkpoint:
                settings.update(checkpoint=os.path.abspath(checkpoint), exported=None)
        else:
            settings = from_torch('model').describe(config, checkpoint, precision,
                                                    self._given['options'])
        return dict(settings, window=window, stride=stride)

    @property
    def model(self) -> Union[SearchModel, ExportedSearchModel]:
        """The model; loaded when it is first needed.

        Raises:
            UnusableIndexError: If it is not the one that made the index.
        """
        if self._model is None:
            settings = self._described()
            if settings.get('exported'):  # of whose description nothing is built
                model = ExportedSearchModel(settings, self._device)
            else:
                model = from_torch('model').SearchModel(self.settings, self._device)
            self._refuse_other(dict(settings, weights=model.weights))
            self._model = model
        return self._model

    def _refuse_other(self, settings: dict[str, Any]) -> None:
        """Refuse to mix vectors that cannot be compared."""
        differing = [key for key in _FINGERPRINT
                     if self._known and settings[key] != self._known[key]]
        if not differing:
            return

        def told(of: dict[str, Any]) -> str:
            return (f"{of['name']} (weights {of['weights'][:8]}, {of['precision']}, windows of "
                    f"{of['window']:g} s every {of['stride']:g} s)")
        raise UnusableIndexError(
            f"'{self.index}' was made by {told(self._known)}; this is {told(settings)}: other "
            f'{", ".join(differing)}. Search with what made it, or make it anew: '
            f'python tools/search.py index FOLDER {option(self.index)} --rebuild')

    def add(self, *roots: Union[str, Path], workers: Optional[int] = None,
            watch: Optional[Callable] = None, ranks: Optional[Ranks] = None) -> Report:
        """Bring the index up to date with folders or files.

        What is in the index and has not changed is left as it is; what is no longer there is
        forgotten. May be interrupted at any moment: what was indexed stays.

        Args:
            *roots (str | Path): Folders, searched with all that is in them, or files.
            workers (int, optional): Processes that decode. Defaults to one a core.
            watch (Callable, optional): See :class:`~mmc2v.search.indexing.Indexer`.
            ranks (Ranks, optional): Processes that call this together. Defaults to this one alone.

        Returns:
            Report: What was done; at the first of several processes by all of them.

        Raises:
            FileNotFoundError: If a root is not there.
            ValueError: If the index was made by another model, or another run writes into it.
            OSError: If the index cannot be written.
        """
        places = [_absolute(root) for root in roots]
        frames, workers_of = from_torch('frames'), from_torch('workers')
        ranks = ranks or from_torch('ranks').Ranks()
        if workers is None:
            workers = max(1, (os.cpu_count() or 1) // ranks.per_node)
        if workers < 1:
            raise ValueError(f'workers must be at least 1, got {workers}')
        check_roots(places)
        with ranks.writing(self.index) as store, SharedProgress(
                self.index if ranks.is_first else None, watch) as progress:
            settings = self.settings
            if settings.get('exported') and settings['precision'] != 'float32':
                raise ValueError(f"'{self.index}' is of {settings['precision']}: an exported model "
                                 'is of float32, and can search it but not add to it')
            source = frames.ClipFrames(settings['pipeline'], settings['window'],
                                       settings['stride'])
            with workers_of.VideoWorkers(workers, settings['pipeline'],
                              settings['window'], settings['stride']) as processes:
                model = self.model  # while the processes start
                if ranks.is_first:
                    if not self._known:
                        store.set(dict(settings, weights=model.weights, width=model.width))
                        self._known = store.settings
                    store.roots = [*store.roots, *places]
                with ranks.shared(self.index, store) as shared:
                    if not ranks.is_first:
                        self._known = self._settings_of(self.store)
                        self._refuse_other(dict(settings, weights=model.weights))
                    report = from_torch('indexing').Indexer(
                        shared, model.model, source.num_frames, processes, progress, ranks,
                        model.hasten).run(places)
        self._let_go()
        return report

    def remove(self, *roots: Union[str, Path]) -> int:
        """Forget files, or what was in folders; the files themselves stay where they are.

        Args:
            *roots (str | Path): Folders or files.

        Returns:
            int: Number of files that were in the index.
        """
        places = [_absolute(root) for root in roots]
        open_store(self.index).close()  # it is not made to be empty
        from .writing import writing
        with writing(self.index) as store:
            paths = inside(places, store.files())
            store.remove(paths)
            gone = inside(places, store.roots)
            store.roots = [root for root in store.roots if root not in gone]
        self._let_go()
        return len(paths)

    def search(self, query: Union[str, Path], top: int = 10, per_video: int = 3) -> list[VideoHit]:
        """Find moments by a sentence, or videos like one.

        Args:
            query (str | Path): A sentence; or, as a Path, a video file.
            top (int): Videos to return at most. Defaults to 10.
            per_video (int): Moments of each at most. Defaults to 3.

        Returns:
            list[VideoHit]: The best first. For a video as query a moment may be a whole video, and
            the query itself is left out.

        Raises:
            ValueError: If the sentence is empty, or the model is not the one of the index.
            VideoDecodeError: If the video cannot be decoded.
        """
        if not isinstance(query, (str, Path)):
            raise TypeError(f'a query is a sentence (str) or a video (Path), got {query!r}')
        if min(top, per_video) < 1:
            raise ValueError(f'top and per_video must be at least 1, got {top} and {per_video}')
        itself = from_torch('frames').digest_of(str(query)) if isinstance(query, Path) else None
        # a sentence asks for a moment; what a video is like may be another as a whole
        wanted = Wanted(whole=itself is not None, without=itself)
        with self.reading(lambda: self._encode(query)) as (vector, clips):
            scored = clips.scored(vector, wanted)
        found = rank_moments(scored.scores, scored.videos, scored.spans, top, per_video,
                             scored.sample)
        return [VideoHit(scored.contents[hit.video].paths, scored.contents[hit.video].duration,
                         hit.moments) for hit in found]

    @contextmanager
    def reading(self, encode: Callable[[], Any]) -> Iterator[
            tuple[Any, Union[IndexedClips, MilvusClips]]]:
        """Encode queries by the model of the index, and read the index as it is then.

        Args:
            encode (Callable): Returns vectors by :attr:`model`; called again if the index is made
                anew by another model meanwhile.

        Yields:
            tuple: What encode returned, and all clips.
        """
        with self._mutex:
            is_same = False
            while not is_same:
                self._take_over()
                vectors = encode()
                with self.store.reading():
                    is_same = self.store.settings == self._known  # and not made anew meanwhile
                    if is_same:
                        yield vectors, self._clips(in_memory=False)

    def _take_over(self) -> None:
        """Go on with what others have made of the index, be it by another model."""
        if self._store is not None and not self._store.is_in_place:
            self.close()
        settings = self._settings_of(self.store)
        if settings != self._known:
            self._known, self._model = settings, None

    @staticmethod
    def _settings_of(store: Union[IndexStore, MilvusStore]) -> dict[str, Any]:
        settings = store.settings
        if settings:  # otherwise nothing has been indexed
            check_settings(settings, store)
        return settings

    def _encode(self, query: Union[str, Path]) -> np.ndarray:
        """Return the (D,) float32 unit vector of a query."""
        if isinstance(query, Path):
            return self.encode_video(str(query))
        if not query.strip():
            raise ValueError('the sentence to search for is empty')
        return self.model.encode_text(query)

    def build_approximate(self) -> dict[str, float]:
        """Make the file for approximate search, where it is not of the index's state already.

        Returns:
            dict[str, float]: See :func:`~mmc2v.search.approximate.build`; empty where nothing was
            to do.

        Raises:
            ImportError: If FAISS is not installed.
            ValueError: If the index holds nothing.
        """
        if is_remote(self.index):
            raise ValueError('Milvus has an index for approximate search of its own; leave out '
                             '--ann')
        self._take_over()
        with self.store.reading():
            clips, state = self._clips(in_memory=True), self.store.state
        if self._approximate is not None:
            return {}
        if len(clips.vectors) == 0:
            raise ValueError(f"the index '{self.index}' holds no videos yet")
        texts = np.stack([self.model.encode_text(text) for text in _SENTENCES])
        return approximate.build(approximate.path_of(self.index), state, clips.vectors, texts)

    def encode_video(self, path: str) -> np.ndarray:
        """Return the (D,) float32 unit vector of a whole video.

        Raises:
            VideoDecodeError: If it cannot be decoded.
        """
        settings, model = self.settings, self.model
        source = from_torch('frames').ClipFrames(settings['pipeline'], settings['window'],
                                                 settings['stride'])
        return model.encode_frames(source.whole(path), source.num_frames)

    def load(self) -> Union[IndexedClips, MilvusClips]:
        """Read all vectors of a file into memory, for a process that is asked again and again.

        Exact search always does; approximate search otherwise reads of the index what it needs.
        """
        with self._mutex:
            self._take_over()
            with self.store.reading():
                return self._clips(in_memory=True)

    def _clips(self, in_memory: bool) -> Union[IndexedClips, MilvusClips]:
        """Return all clips; they are read again after changes."""
        if isinstance(self.store, MilvusStore):
            version = self.store.version
            if self._loaded is None or self._loaded[0] != version:
                self._loaded = version, MilvusClips(self.store)
            return self._loaded[1]
        version = self.store.version, approximate.stamp(self.index)
        if self._loaded is None or self._loaded[0] != version:
            self._loaded = None  # two may not fit into memory
            self._approximate = self._read_approximate()
            in_memory = in_memory or self._approximate is None
        elif not in_memory or isinstance(self._loaded[1].vectors, Vectors):
            return self._loaded[1]
        self._loaded = version, IndexedClips(self.store, in_memory, self._approximate)
        return self._loaded[1]

    def _read_approximate(self) -> Optional[approximate.ApproximateIndex]:
        """Read the file for approximate search; without it, or where it does not fit, None."""
        self.note = None
        if approximate.stamp(self.index) is None:
            return None
        try:
            return approximate.read(approximate.path_of(self.index), self.store.state,
                                    self.store.counts()['clips'])
        except ValueError as error:
            self.note = f'exact search: {error}'
            return None


def _place_of(index: Union[str, Path]) -> str:
    """Return the address of a store as it is, and the absolute path of a file."""
    if isinstance(index, str) and is_remote(index):
        parse_address(index)
        return index
    return _absolute(index)


def _absolute(path: Union[str, Path]) -> str:
    """Return the absolute path; of nothing that would be the folder in which we are."""
    if not os.fspath(path):
        raise ValueError('a path is empty: is a variable of the shell not set?')
    return os.path.abspath(os.path.expanduser(path))
