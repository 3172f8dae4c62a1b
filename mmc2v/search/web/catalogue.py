"""What is in the index, by the ids that clients know: never by path."""
import os
import re
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple, Optional

from ..names import FolderNames, shown
from ..progress_file import read_progress
from ..records import FileRecord, Outline
from ..stores import open_store
from .errors import RefusedError

_VIDEO_ID = re.compile('[0-9a-f]{32}')
_CLIP_ID = re.compile('([0-9a-f]{32})-(0|[1-9][0-9]{0,8})')
# Folders that are offered for choosing.
_MOST_FOLDERS = 500


def video_id(digest: bytes) -> str:
    """Return the id of a content: the first half of its digest."""
    return digest[:16].hex()


def clip_id(digest: bytes, number: int) -> str:
    """Return the id of a clip.

    Args:
        digest (bytes): Of the content.
        number (int): Of the clip in it.
    """
    return f'{video_id(digest)}-{number}'


def clip_document(digest: bytes, number: int, paths: Sequence[str], names: FolderNames,
                  start: float, end: float, duration: float) -> dict[str, Any]:
    """Return what clients are told of every clip, found or asked for.

    Args:
        digest (bytes): Of the content.
        number (int): Of the clip in it.
        paths (Sequence[str]): Its files, of which the first is named.
        names (FolderNames): Of the index.
        start (float): Seconds.
        end (float): Seconds.
        duration (float): Seconds of the video.
    """
    name = clip_id(digest, number)
    return dict(id=name, video=video_id(digest), name=shown(os.path.basename(paths[0])),
                folder=names.of(paths[0]), copies=len(paths) - 1, start=start, end=end,
                duration=duration, thumbnail=f'/api/clips/{name}/thumbnail')


class CatalogueClip(NamedTuple):
    """A clip of the index.

    Attributes:
        video (Outline): The content that it is of.
        number (int): Which of its clips.
        files (dict[str, FileRecord]): Under which names it lies.
        roots (list[str]): Folders and files that were indexed.
    """

    video: Outline
    number: int
    files: dict[str, FileRecord]
    roots: list[str]

    @property
    def span(self) -> tuple[float, float]:
        """Start and end in seconds."""
        start, end = self.video.spans[self.number].tolist()
        return start, end


class Catalogue:
    """Looks into the index beside those who search; any thread may ask.

    Args:
        index (str): The file.
    """

    def __init__(self, index: str) -> None:
        self._index = index
        self._mutex = threading.Lock()
        self._store: Any = None
        self._summary: Optional[tuple[Any, dict[str, Any]]] = None

    def close(self) -> None:
        """Let go of the file."""
        with self._mutex:
            if self._store is not None:
                self._store.close()
            self._store = None

    def _opened(self) -> Any:
        if self._store is not None and not self._store.is_in_place:
            self._store.close()
            self._store = self._summary = None
        if self._store is None:
            self._store = open_store(self._index)
        return self._store

    def clip(self, name: str) -> CatalogueClip:
        """Return a clip by its id.

        Raises:
            RefusedError: If there is no such clip.
        """
        match = _CLIP_ID.fullmatch(name)
        found = match and self._find(match[1], int(match[2]))
        if not found:
            raise RefusedError(404, 'unknown', 'there is no such moment in the index; search again')
        return found

    def video(self, name: str) -> CatalogueClip:
        """Return the first clip of a video by the id of the video.

        Raises:
            RefusedError: If there is no such video.
        """
        found = self._find(name, 0) if _VIDEO_ID.fullmatch(name) else None
        if not found:
            raise RefusedError(404, 'unknown', 'there is no such video in the index; search again')
        return found

    def _find(self, digest: str, number: int) -> Optional[CatalogueClip]:
        with self._mutex:
            store = self._opened()
            with store.reading():
                video = store.find(bytes.fromhex(digest))
                if video is None or number >= len(video.spans):
                    return None
                files = store.files_of(video.number)
                return CatalogueClip(video, number, files, store.roots) if files else None

    def summary(self) -> dict[str, Any]:
        """Return counts, folders with the number of their videos, and how far indexing is."""
        with self._mutex:
            store = self._opened()
            version = store.version
            if self._summary is None or self._summary[0] != version:
                with store.reading():
                    self._summary = version, _summary_of(store)
            summary = self._summary[1]
        progress = read_progress(self._index)
        return dict(summary, indexing=progress and dict(
            progress._asdict(), share=round(progress.share, 4), hours=round(progress.hours, 4)))


def _summary_of(store: Any) -> dict[str, Any]:
    counts, names = store.counts(), FolderNames(store.roots)
    folders: dict[str, int] = {}
    for path, record in store.files().items():
        if record.content is not None:
            parts = names.of(path).split('/')
            for depth in range(1, len(parts) + 1):
                folder = '/'.join(parts[:depth])
                folders[folder] = folders.get(folder, 0) + 1
    return dict(
        videos=counts['contents'], clips=counts['clips'], hours=round(counts['hours'], 4),
        unreadable=counts['unreadable'],
        folders=[dict(name=name, videos=number)
                 for name, number in sorted(folders.items())[:_MOST_FOLDERS]])
