"""File names as texts that a page can show: nothing in them acts, and none reads as another."""
import os
import unicodedata
from collections.abc import Sequence

# Signs that are not seen but belong to words and pictures of many scripts.
_JOINERS = '\u200c\u200d\ufe0f'
_HIDDEN = ('Cc', 'Cf', 'Cs', 'Co', 'Cn', 'Zl', 'Zp')


def shown(text: str) -> str:
    """Return a text with what is not seen, or turns the direction of reading, spelt out.

    Args:
        text (str): Of a file system: any characters, lone surrogates among them.
    """
    return ''.join(sign if sign in _JOINERS or unicodedata.category(sign) not in _HIDDEN
                   else sign.encode('unicode_escape').decode() for sign in text)


class FolderNames:
    """Names of folders as they are shown: from the folder on that was indexed.

    Args:
        roots (Sequence[str]): Absolute paths of indexed folders and files.
    """

    def __init__(self, roots: Sequence[str]) -> None:
        self._labels = dict(zip(roots, _short(roots)))

    def of(self, path: str) -> str:
        """Return the name of the folder that a file lies in, its parts joined by '/'."""
        root, folder = path, os.path.dirname(path)
        while root not in self._labels:  # of several that hold it the innermost
            root, inner = os.path.dirname(root), root
            if root == inner:
                return shown(os.path.basename(folder) or os.sep)
        if root in (path, folder):
            return self._labels[root]
        return f'{self._labels[root]}/{shown(os.path.relpath(folder, root))}'


def _short(roots: Sequence[str]) -> list[str]:
    """Return as few of the last parts of each path as tell it from the others."""
    parts = [[part for part in (os.path.dirname(root) if os.path.isfile(root) else root
                                ).split(os.sep) if part] or [os.sep] for root in roots]
    distinct = sorted({tuple(own) for own in parts})

    def label(own: list[str]) -> str:
        for depth in range(1, len(own) + 1):
            tail = own[-depth:]
            if sum(list(other[-depth:]) == tail for other in distinct) == 1:
                break
        return shown('/'.join(tail))
    return [label(own) for own in parts]
