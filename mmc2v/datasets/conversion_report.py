"""What a converter's report says of an annotation."""
from pathlib import Path
from typing import NamedTuple, Optional

from mmc2v.strict_text import read_json


class ReportedCounts(NamedTuple):
    """What the report of a conversion says of a split."""

    protocol: str
    videos: int
    listed_videos: int
    missing_videos: int


def read_counts(path: Path, split: str) -> Optional[ReportedCounts]:
    """Read from the report of a conversion what it counted.

    Args:
        path (Path): The ``report.json``.
        split (str): Name of an annotation without extension.

    Returns:
        ReportedCounts, optional: None if the report says nothing of that split.

    Raises:
        ValueError: If it is not JSON, or no report of a conversion.
    """
    report = read_json(path)
    try:
        protocol, counts = f"{report['data_set']} {report['protocol']}", report['splits'].get(split)
        if counts is None:
            return None
        found = ReportedCounts(protocol, counts['videos'], counts['listed_videos'],
                               len(counts['missing']))
        if not all(isinstance(number, int) for number in found[1:]):
            raise TypeError
    except (KeyError, TypeError, AttributeError):
        raise ValueError(f"'{path}' is not the report of one of our converters") from None
    return found
