"""Annotation files, read strictly: what is wrong with them is said before anything runs."""
import json
import os
import posixpath
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

VIDEO_EXTENSIONS = ('.mp4', '.avi', '.webm', '.mkv', '.mov', '.m4v', '.mpg', '.mpeg', '.3gp',
                    '.3gpp', '.3g2', '.wmv', '.flv', '.ogv', '.ts', '.mts', '.m2ts', '.qt',
                    '.asf', '.divx')
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


def parse_json(text: str, path: str, first_row: int = 1) -> Any:
    """Parse JSON, refusing keys that appear twice in an object.

    Args:
        text (str): The JSON.
        path (str): File that it is of, for the message.
        first_row (int): Row of the file in which the text begins. Defaults to 1.

    Returns:
        Any: Its value.

    Raises:
        ValueError: With row, column and what stands there, if it is not JSON. With the key, if one
            appears twice. If it is nested too deeply.
    """
    def without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        entries = dict(pairs)
        if len(entries) < len(pairs):
            (key, _), = Counter(key for key, _ in pairs).most_common(1)
            raise ValueError(f"the key '{key}' appears twice")
        return entries

    try:
        return json.loads(text, object_pairs_hook=without_repeats)
    except json.JSONDecodeError as error:
        around = text[max(0, error.pos - 30):error.pos + 30]
        raise ValueError(f"'{path}', row {first_row + error.lineno - 1}, column {error.colno}: not "
                         f'JSON: {error.msg}, near {around!r}') from error
    except ValueError as error:  # of a key, or of a number with thousands of digits
        raise ValueError(f"'{path}': {error}") from error
    except RecursionError as error:
        raise ValueError(f"'{path}': its lists and objects are nested too deeply") from error


def read_json_object(path: str, hint: str = '') -> dict[str, Any]:
    """Read a JSON object, refusing keys that appear twice.

    Args:
        path (str): The file.
        hint (str): Appended where the file is missing: how to get it.

    Returns:
        dict: Its entries in file order.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not UTF-8, not JSON, not an object, or has a key twice.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"annotation file '{path}' does not exist. {hint}".strip())
    try:
        text = Path(path).read_text(encoding='utf-8-sig')
    except UnicodeDecodeError as error:
        raise ValueError(f"'{path}' is not UTF-8: {error}") from error
    content = parse_json(text, path)
    if not isinstance(content, dict):
        raise ValueError(f"'{path}' must hold an object {{name: ...}}, "
                         f'not {type(content).__name__}')
    return content


def read_video_entries(path: str, hint: str = '') -> dict[str, Any]:
    """Read a JSON object of videos: an annotation, their groups, those to exclude.

    Args:
        path (str): The file.
        hint (str): See :func:`read_json_object`.

    Returns:
        dict: What is said of each video under its name as :func:`normalize_name` gives it, in file
        order.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: See :func:`read_json_object` and :func:`normalize_name`. If two names are of
            one video.
    """
    entries: dict[str, Any] = {}
    written: dict[str, str] = {}
    for name, entry in read_json_object(path, hint).items():
        normal = normalize_name(f"'{path}'", name)
        if normal in written:
            raise ValueError(f"'{path}': '{written[normal]}' and '{name}' are one video; put what "
                             'belongs to it under one name')
        written[normal], entries[normal] = name, entry
    return entries


def check_captions(path: str, video: str, captions: Any) -> list[str]:
    """Return the captions of one video, or say which one is wrong.

    Raises:
        ValueError: If it is no list, is empty, or a caption is not a string or blank.
    """
    where = f"'{path}', video '{video}'"
    if not isinstance(captions, list):
        raise ValueError(f'{where}: captions must be a list of strings, '
                         f'got {type(captions).__name__}')
    if not captions:
        raise ValueError(f'{where}: there is no caption')
    for number, caption in enumerate(captions):
        if not isinstance(caption, str):
            raise ValueError(f'{where}: caption {number} is {caption!r}, not a string')
        if not caption.strip():
            raise ValueError(f'{where}: caption {number} is empty')
    return captions
