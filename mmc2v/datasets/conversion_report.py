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
    foreign = ValueError(f"'{path}' is not the report of one of our converters")
    try:
        splits, protocol = report['splits'], f"{report['data_set']} {report['protocol']}"
        counts = splits.get(split)
        if counts is None:
            return None
        found = ReportedCounts(protocol, counts['videos'], counts['listed_videos'],
                               len(counts['missing']))
    except (KeyError, TypeError, AttributeError):
        raise foreign from None
    if not all(type(number) is int for number in found[1:]) \
            or found.videos + found.missing_videos != found.listed_videos:
        raise foreign
    return found
