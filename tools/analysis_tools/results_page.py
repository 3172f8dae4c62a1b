"""Pages of Markdown of which a part, between two markers, is written by a tool."""
from __future__ import annotations

from pathlib import Path

MARKERS = '<!-- results -->', '<!-- end of results -->'


def page_with_markers(path: Path) -> str:
    """Return the text of the page that results go into, the markers alone where there is none.

    Raises:
        ValueError: If the page lacks the markers.
    """
    text = path.read_text() if path.is_file() else '\n'.join(MARKERS)
    if any(marker not in text for marker in MARKERS):
        raise ValueError(f"'{path}' must hold the lines {MARKERS}, between which results go")
    return text


def write_results(path: Path, lines: list[str]) -> None:
    """Write the part of a page between the markers anew; what stands outside is kept.

    Args:
        path (Path): Markdown file.
        lines (list[str]): Of that part.

    Raises:
        ValueError: If the page lacks the markers.
    """
    from mmc2v.whole_files import write_whole

    text = page_with_markers(path)
    before, after = text.split(MARKERS[0])[0], text.split(MARKERS[1])[1]
    write_whole(path, '\n'.join([before + MARKERS[0], *lines, MARKERS[1] + after]).encode())


def table(columns: list[str], rows: list[list[str]]) -> list[str]:
    """Lay out rows as a table of Markdown, with a blank line after it."""
    lines = [columns, ['---'] * len(columns), *rows]
    return ['| ' + ' | '.join(line) + ' |' for line in lines] + ['']
