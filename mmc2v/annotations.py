"""Annotation files, read strictly: what is wrong with them is named before anything runs."""
import os
import posixpath
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .strict_text import read_json

VIDEO_EXTENSIONS = ('.mp4', '.avi', '.webm', '.mkv', '.mov', '.m4v', '.mpg', '.mpeg', '.3gp',
                    '.3gpp', '.3g2', '.wmv', '.flv', '.ogv', '.ts', '.mts', '.m2ts', '.qt',
                    '.asf', '.divx', '.vob', '.m1v', '.m2v', '.mpe', '.f4v', '.mxf', '.dv', '.rm',
                    '.rmvb', '.nut', '.ogm', '.wtv')
# DiDeMo lists videos of unknown kind as ``x.null`` and ``x.``
_NO_EXTENSIONS = ('.null', '.')
# Bytes of a path and of a part of it, of the file systems in use
_MAX_PATH, _MAX_PART = 4096, 255


def video_id(name: str) -> str:
    """Return a video's id: its name without folder and extension.

    Only extensions of videos are taken off, because ids may contain dots.

    Args:
        name (str): As in an annotation, ``folder/video0.mp4``.
    """
    base = name.replace('\\', '/').rsplit('/', 1)[-1]
    stem, _, extension = base.rpartition('.')
    is_extension = f'.{extension.lower()}' in VIDEO_EXTENSIONS + _NO_EXTENSIONS
    return stem if stem and is_extension else base


def normalize_name(where: str, name: str) -> str:
    """Return the one form of a video's name, so that it stays in the folder of the videos.

    ``./a.mp4`` and ``sub/../a.mp4`` become ``a.mp4``, and backslashes become slashes.

    Args:
        where (str): Annotation or its row, for the message.
        name (str): As it stands there, relative to the folder of the videos.

    Raises:
        ValueError: If it is absolute, leads out of the folder, or can be no file's name.
    """
    shown = repr(name if len(name) <= 100 else f'{name[:100]}...')
    normal = posixpath.normpath(name.replace('\\', '/'))
    if Path(normal).anchor:
        raise ValueError(f'{where}: the name {shown} of a video is absolute; write it relative to '
                         'the folder of the videos, and give that as data_prefix')
    parts = normal.split('/')
    if parts[0] == '..':
        raise ValueError(f'{where}: the video {shown} is outside the folder of the videos; give '
                         'a folder that holds all of them, and names within it')
    try:
        longest = max(len(os.fsencode(part)) for part in parts)
        is_too_long = longest > _MAX_PART or len(os.fsencode(normal)) > _MAX_PATH
    except UnicodeEncodeError:
        raise ValueError(f'{where}: {shown} can be no file: it is not Unicode') from None
    if is_too_long:
        raise ValueError(f'{where}: {shown}, of {len(name)} characters, can be no file: a name '
                         f'has at most {_MAX_PART} bytes, a path {_MAX_PATH}')
    if normal == '.' or '\0' in normal:
        raise ValueError(f'{where}: expected the name of a video, found {shown}')
    return normal


def match_names(names: Iterable[str], others: Iterable[str]) -> dict[str, str]:
    """Find the videos of one annotation in another.

    Two names are one video if their ids are equal and, where both have a folder, their folders:
    ``cats/1.mp4`` is not ``dogs/1.mp4``, but may be ``1.avi`` of an annotation that was made
    within ``cats``.

    Args:
        names (Iterable[str]): Names of one annotation.
        others (Iterable[str]): Names of the other.

    Returns:
        dict[str, str]: name -> other name, of the videos that are in both.
    """
    by_id: dict[str, list[str]] = {}
    for other in others:
        by_id.setdefault(video_id(other), []).append(other)
    found = {}
    for name in names:
        same_id = by_id.get(video_id(name), [])
        same = [other for other in same_id if _folder(other) == _folder(name)] \
            or [other for other in same_id if not (_folder(other) and _folder(name))]
        if same:
            found[name] = same[0]
    return found


def _folder(name: str) -> str:
    return name.replace('\\', '/').rpartition('/')[0]


def read_video_entries(path: str, advice: str = '') -> dict[str, Any]:
    """Read a JSON object of videos: an annotation, their groups, those to exclude.

    Args:
        path (str): The file.
        advice (str): See :func:`~mmc2v.strict_text.read_lines`.

    Returns:
        dict: The entry of each video under its name as :func:`normalize_name` gives it, in file
        order.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: See :func:`~mmc2v.strict_text.read_json` and :func:`normalize_name`. If two
            names are of one video.
    """
    entries: dict[str, Any] = {}
    written: dict[str, str] = {}
    for name, entry in read_json(path, advice=advice).items():
        normal = normalize_name(f"'{path}'", name)
        if normal in written:
            raise ValueError(f"'{path}': '{written[normal]}' and '{name}' are one video; put what "
                             'belongs to it under one name')
        written[normal], entries[normal] = name, entry
    return entries


def read_annotation(path: str, advice: str = '') -> dict[str, list[str]]:
    """Read the captions of videos.

    Args:
        path (str): The file.
        advice (str): See :func:`~mmc2v.strict_text.read_lines`.

    Returns:
        dict[str, list[str]]: Captions of each video, in file order.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: See :func:`read_video_entries`. With the video, if it has no list of captions,
            or one of them is no string or blank. If there is no video.
    """
    annotation = read_video_entries(path, advice)
    if not annotation:
        raise ValueError(f"annotation file '{path}' holds no video")
    for video, captions in annotation.items():
        where = f"'{path}', video '{video}'"
        if not isinstance(captions, list):
            raise ValueError(f'{where}: captions must be a list of strings, '
                             f'got {type(captions).__name__}')
        if not captions:
            raise ValueError(f'{where}: there is no caption')
        for number, caption in enumerate(captions):
            check_caption(f'{where}, caption {number}', caption)
    return annotation


def check_caption(where: str, caption: Any, advice: str = '') -> str:
    """Return a caption.

    Args:
        where (str): File and place, for the message.
        caption (Any): What stands there.
        advice (str): What else to do where it is blank. Defaults to nothing.

    Raises:
        ValueError: If it is not a string, or blank.
    """
    if not isinstance(caption, str):
        raise ValueError(f'{where}: expected a caption, found {caption!r}')
    if not caption.strip():
        raise ValueError(f'{where}: the caption is empty{advice}')
    return caption
