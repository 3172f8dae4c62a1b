"""Text and JSON, read strictly: what is wrong is said with its file and row."""
import json
from collections import Counter
from pathlib import Path
from typing import Any, Union

_TYPES = {dict: 'an object', list: 'a list'}


def read_lines(path: Union[str, Path], advice: str = '') -> list[str]:
    """Return the lines of a UTF-8 file, without those that end it blank.

    Args:
        path (str | Path): The file; a byte order mark is no part of it.
        advice (str): Appended where the file is missing: how to get it.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: With the row that is not UTF-8. If there is nothing in it.
    """
    path = Path(path)
    if not path.is_file():
        siblings = sorted(item.name for item in path.parent.iterdir())[:20] \
            if path.parent.is_dir() else 'no such folder'
        raise FileNotFoundError(f"'{path}' does not exist; the folder has {siblings}. "
                                f'{advice}'.rstrip('. '))
    lines = []
    for row, line in enumerate(path.read_bytes().removeprefix(b'\xef\xbb\xbf').split(b'\n'), 1):
        try:
            lines.append(line.decode('utf-8').rstrip('\r'))
        except UnicodeDecodeError as error:
            raise ValueError(f"'{path}', row {row}: not UTF-8 ({error}). Was the file saved in "
                             'another encoding?') from error
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise ValueError(f"'{path}' is empty")
    return lines


def parse_json(text: str, path: Union[str, Path], first_row: int = 1) -> Any:
    """Parse JSON, refusing keys that appear twice in an object.

    Args:
        text (str): The JSON.
        path (str | Path): File that it is of, for the message.
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


def read_json(path: Union[str, Path], *types: type, advice: str = '') -> Any:
    """Read JSON whose outermost value is of one of some types.

    Args:
        path (str | Path): The file.
        *types (type): dict, list. Defaults to dict.
        advice (str): See :func:`read_lines`.

    Returns:
        Any: Its value, entries in file order.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: With file and row, if it is not UTF-8, not JSON, not of those types, or has a
            key twice.
    """
    types = types or (dict,)
    content = parse_json('\n'.join(read_lines(path, advice)), path)
    if not isinstance(content, types):
        raise ValueError(f"'{path}', row 1: expected {' or '.join(map(_TYPES.get, types))}, found "
                         f'{_TYPES.get(type(content), type(content).__name__)}')
    return content
