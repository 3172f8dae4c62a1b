"""What a converter's report says of an annotation."""
from pathlib import Path
from typing import Any

from mmc2v.strict_text import read_json


def read_counts(path: Path, split: str, num_videos: int) -> dict[str, Any]:
    """Read from the report of a conversion what it counted.

    Args:
        path (Path): The ``report.json``.
        split (str): Name of an annotation without extension.
        num_videos (int): Videos in that annotation.

    Returns:
        dict: ``protocol`` (str), ``listed_videos`` (int) and ``missing_videos`` (int); nothing
        where the report says nothing of that split, or is about another number of videos.

    Raises:
        ValueError: If it is not JSON, or no report of a conversion.
    """
    report = read_json(path)
    try:
        protocol = f"{report['data_set']} {report['protocol']}"
        counts = report['splits'].get(split)
        if counts is None:
            return {}
        videos, listed, missing = counts['videos'], counts['listed_videos'], len(counts['missing'])
        adds_up = type(videos) is type(listed) is int and videos + missing == listed
    except (KeyError, TypeError, AttributeError):
        adds_up = False
    if not adds_up:
        raise ValueError(f"'{path}' is not the report of one of our converters")
    if videos != num_videos:
        return {}
    return dict(protocol=protocol, listed_videos=listed, missing_videos=missing)
