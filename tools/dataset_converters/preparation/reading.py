"""Readers of official files that name the file and the row of what is wrong."""
import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

from mmc2v.strict_pickles import StrictUnpickler
from mmc2v.strict_text import parse_json, read_lines


def read_list(path: Path) -> list[str]:
    """Read one video id a row.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: With file and row, if a row is blank, has several columns, or repeats an id.
    """
    rows: dict[str, int] = {}
    for row, line in enumerate(read_lines(path), 1):
        name = line.strip()
        if not name or '\t' in name or ',' in name:
            raise ValueError(f"'{path}', row {row}: expected one video id, found {line!r}")
        if name in rows:
            raise ValueError(f"'{path}', row {row}: the id '{name}' appears twice, first in row "
                             f'{rows[name]}')
        rows[name] = row
    return list(rows)


def read_numbered_table(path: Path, columns: Sequence[str], separator: str = ',',
                        has_header: bool = True, quoted: bool = True
                        ) -> list[tuple[int, dict[str, str]]]:
    """Read a table whose cells may span lines.

    Args:
        path (Path): The file.
        columns (Sequence[str]): Columns that must be there; all of them in order without a header.
        separator (str): Between cells. Defaults to ','.
        has_header (bool): Whether the first row names the columns. Defaults to True.
        quoted (bool): Whether cells may stand in double quotes. Defaults to True.

    Returns:
        list[tuple[int, dict[str, str]]]: Line in which a row begins, and its cells by column.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: With file and row, if columns are missing, too many or too few.
    """
    lines = (line + '\n' for line in read_lines(path))
    reader = csv.reader(lines, delimiter=separator, strict=True,
                        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE)
    rows = []
    try:
        names = [name.strip() for name in next(reader)] if has_header else list(columns)
        absent = [column for column in columns if column not in names]
        if absent or len(set(names)) < len(names):
            raise ValueError(f"'{path}', row 1: expected the columns {list(columns)}, found "
                             f'{names}')
        first_line = reader.line_num + 1
        for cells in reader:
            if len(cells) != len(names):
                raise ValueError(f"'{path}', row {first_line}: expected {len(names)} columns "
                                 f'({", ".join(names)}), found {len(cells)}: {cells}')
            rows.append((first_line, dict(zip(names, (cell.strip() for cell in cells)))))
            first_line = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(f"'{path}', row {reader.line_num}: not a table: {error}") from error
    if not rows:
        raise ValueError(f"'{path}' has a header and no row")
    return rows


def read_table(path: Path, columns: Sequence[str], unique: Optional[str] = None,
               **layout: Any) -> list[dict[str, str]]:
    """Read a table without the numbers of its lines.

    Args:
        path (Path): The file.
        columns (Sequence[str]): Columns that must be there.
        unique (str, optional): A column whose values may not repeat.
        **layout: ``separator``, ``has_header``, ``quoted`` of :func:`read_numbered_table`.

    Returns:
        list[dict[str, str]]: One dict a row.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: With file and row, if columns are missing, too many or too few, or an id
            appears twice.
    """
    rows = read_numbered_table(path, columns, **layout)
    seen: dict[str, int] = {}
    for line, row in rows:
        if unique is not None and seen.setdefault(row[unique], line) != line:
            raise ValueError(f"'{path}', row {line}: the id '{row[unique]}' appears twice, first "
                             f'in row {seen[row[unique]]}')
    return [row for _, row in rows]


def read_json_lines(path: Path) -> list[Any]:
    """Read one JSON value a row.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: With file and row, if a row is not JSON, or has a key twice.
    """
    return [parse_json(line, path, row) for row, line in enumerate(read_lines(path), 1)]


class _WordListUnpickler(StrictUnpickler):
    """Builds numbers, strings, lists, tuples and dicts; its containers hold nothing else."""

    allowed = ('collections.OrderedDict', 'collections.defaultdict', 'builtins.list',
               'builtins.dict')


def read_word_lists(path: Path) -> dict[str, list[Sequence[str]]]:
    """Read a pickle of ``{id: [[word, ...], ...]}`` without executing anything in it.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds anything else, classes and functions included.
    """
    if not path.is_file():
        raise FileNotFoundError(f"'{path}' does not exist")
    try:
        with open(path, 'rb') as file:
            content = _WordListUnpickler(file, encoding='utf-8').load()
    except Exception as error:  # a damaged pickle raises of many types
        raise ValueError(f"'{path}' is not a pickle of word lists: {type(error).__name__}: "
                         f'{error}') from error
    if not isinstance(content, Mapping):
        raise ValueError(f"'{path}': expected a dict of word lists, found "
                         f'{type(content).__name__}')
    for video, captions in content.items():
        if not isinstance(video, str) or not isinstance(captions, (list, tuple)):
            raise ValueError(f"'{path}', video {video!r}: expected a list of word lists, found "
                             f'{type(captions).__name__}')
        for row, words in enumerate(captions, 1):
            if not isinstance(words, (list, tuple)) \
                    or not all(isinstance(word, str) for word in words):
                raise ValueError(f"'{path}', video '{video}', caption {row}: expected a list of "
                                 f'words, found {words!r}')
    return dict(content)
