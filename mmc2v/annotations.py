"""Annotation files, read strictly: what is wrong with them is said before anything runs."""
import json
from collections import Counter
from pathlib import Path
from typing import Any

VIDEO_EXTENSIONS = ('.mp4', '.avi', '.webm', '.mkv', '.mov', '.m4v', '.mpg', '.mpeg', '.3gp',
                    '.wmv', '.flv', '.ogv', '.ts')


def video_id(name: str) -> str:
    """Return a video's id: its name without folder and extension.

    Only extensions of videos are taken off, because ids may contain dots.

    Args:
        name (str): As in an annotation, ``folder/video0.mp4``.
    """
    base = name.replace('\\', '/').rsplit('/', 1)[-1]
    stem, _, extension = base.rpartition('.')
    return stem if stem and f'.{extension.lower()}' in VIDEO_EXTENSIONS else base


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

    def without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        entries = dict(pairs)
        if len(entries) < len(pairs):
            counts = Counter(key for key, _ in pairs)
            twice = [key for key, count in counts.items() if count > 1]
            raise ValueError(f"'{path}': the keys {twice[:5]} appear more than once")
        return entries

    try:
        content = json.loads(Path(path).read_text(encoding='utf-8'),
                             object_pairs_hook=without_duplicates)
    except UnicodeDecodeError as error:
        raise ValueError(f"'{path}' is not UTF-8: {error}") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"'{path}' is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"'{path}' must hold an object {{name: ...}}, "
                         f'not {type(content).__name__}')
    return content


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
