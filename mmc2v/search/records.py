"""What the index of one's videos consists of, wherever it is kept.

C clips of a file, D width of their vectors.
"""
import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Optional, Union

import numpy as np

# Numbers of a vector that no index of ours has.
_MAX_WIDTH = 2 ** 16
_ROOTS = 'roots'  # among the settings


class UnusableIndexError(ValueError):
    """The file is no index, is damaged, of another format, or made by another model."""


class Stat(NamedTuple):
    """What tells whether a file has changed.

    Attributes:
        size (int): Bytes.
        mtime (int): Nanoseconds.
    """

    size: int
    mtime: int


class FileRecord(NamedTuple):
    """What the index knows of a file.

    Attributes:
        stat (Stat): When it was looked at.
        content (int | str, optional): What is in it: its number in a file, its digest in Milvus;
            none where it could not be read.
        reason (str, optional): Why it could not.
    """

    stat: Stat
    content: Union[int, str, None]
    reason: Optional[str]


class Outline(NamedTuple):
    """A content without its vectors; attributes as of :class:`Content`, and its number.

    The number is what :class:`FileRecord` has as content.
    """

    number: Union[int, str]
    digest: bytes
    duration: float
    damage: Optional[str]
    spans: np.ndarray


@dataclass
class Content:
    """What is in a file, under whatever names.

    Attributes:
        digest (bytes): Of its bytes.
        duration (float): Seconds.
        spans (np.ndarray): (C, 2) start and end of each clip in seconds; where there are several,
            the last one is the whole video.
        vectors (np.ndarray): (C, D) float16 unit vectors.
        damage (str, optional): What was filled, or is missing.
    """

    digest: bytes
    duration: float
    spans: np.ndarray
    vectors: np.ndarray
    damage: Optional[str] = None


def paths_by_content(files: Mapping[str, FileRecord]) -> dict[Any, list[str]]:
    """Return the paths of each content, in the order of names; unreadable files have none."""
    found: dict[Any, list[str]] = {}
    for path, record in sorted(files.items()):
        if record.content is not None:
            found.setdefault(record.content, []).append(path)
    return found


def drawn(data: bytes) -> int:
    """Return a number below 2 ** 64 that is the same for the same bytes, and otherwise as drawn."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), 'big')


class Store(ABC):
    """What stores have in common that keep the index of one's videos.

    Attributes:
        path (str): Where it is, as its user names it.
    """

    path: str

    @abstractmethod
    def set(self, settings: Mapping[str, Any]) -> None:
        """Write settings beside those that are there."""

    @abstractmethod
    def _all_settings(self) -> dict[str, Any]:
        """Return the settings, and the roots among them."""

    def damaged(self, how: str) -> UnusableIndexError:
        """Return the error that says so."""
        return UnusableIndexError(f"'{self.path}' is damaged: {how}; make it anew with --rebuild")

    @property
    def settings(self) -> dict[str, Any]:
        """What the index was made by; empty where it is new."""
        settings = self._all_settings()
        settings.pop(_ROOTS, None)  # they make no vector another
        return settings

    @property
    def roots(self) -> list[str]:
        """Absolute paths of the folders and files that were asked for."""
        roots = self._all_settings().get(_ROOTS, [])
        if not isinstance(roots, list) or not all(
                isinstance(root, str) and os.path.isabs(root) for root in roots):
            raise self.damaged(f'the setting {_ROOTS!r} is no list of absolute paths')
        return roots

    @roots.setter
    def roots(self, roots: Sequence[str]) -> None:
        if sorted(set(roots)) != self.roots:
            self.set({_ROOTS: sorted(set(roots))})

    @property
    def width(self) -> int:
        """D; 0 where the index is new."""
        width = self.settings.get('width', 0)
        if not isinstance(width, int) or not 0 <= width <= _MAX_WIDTH:
            raise self.damaged(f'vectors of {width!r} numbers')
        return width
