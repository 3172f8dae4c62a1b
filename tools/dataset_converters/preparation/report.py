"""What a conversion counts, and what it says of it."""
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Optional


class Published(NamedTuple):
    """Counts of a split as published, None where the literature gives none."""

    videos: Optional[int]
    captions: Optional[int]


def shared_ids(splits: Mapping[str, Mapping]) -> dict[str, list[str]]:
    """Return the ids that a training split shares with others."""
    train = set(splits.get('train', ()))
    return {split: shared for split, videos in splits.items() if split != 'train'
            and (shared := sorted(train & set(videos)))}


def count_split(videos: Mapping[str, Sequence[str]], missing: Sequence[str],
                without_captions: Sequence[str], published: Published) -> dict[str, Any]:
    """Count a split and compare it with what is published, before anything is missing.

    Args:
        videos (Mapping[str, Sequence[str]]): Captions of each listed video.
        missing (Sequence[str]): Listed videos without a file.
        without_captions (Sequence[str]): Listed videos that no file has a caption for.
        published (Published): The published counts.

    Returns:
        dict[str, Any]: What the report says of the split.
    """
    listed, captions = len(videos), sum(map(len, videos.values()))
    differences = [f'{found} {what} in the official files, {expected} published'
                   for what, found, expected in (('videos', listed, published.videos),
                                                 ('captions', captions, published.captions))
                   if expected is not None and found != expected]
    gone = set(missing)
    return dict(
        published_videos=published.videos, published_captions=published.captions,
        listed_videos=listed, listed_captions=captions, videos=listed - len(missing),
        captions=sum(len(texts) for name, texts in videos.items() if name not in gone),
        differences=differences, missing=missing, without_captions=without_captions)


def print_report(report: Mapping[str, Any], out: Path) -> None:
    """Say what was written, and loudly what is not as it should be."""
    print(f"{report['data_set']}, protocol {report['protocol']}, in {out}")
    for split, counts in report['splits'].items():
        print(f"  {split + '.json':11} {counts['videos']:7d} videos {counts['captions']:7d} "
              'captions')
        for problem in _problems(counts, report['shared_ids'].get(split, [])):
            print(f'WARNING {split}: {problem}', file=sys.stderr)
    for note in report['notes']:
        print(f'  {note}')
    if report['skipped_empty_captions']:
        print(f"WARNING {len(report['skipped_empty_captions'])} empty captions were left out",
              file=sys.stderr)
    if report['repeated_captions']:
        print(f"WARNING {len(report['repeated_captions'])} rows repeat a caption of their video "
              f"and are kept: {report['repeated_captions'][:3]}; all are in the report",
              file=sys.stderr)
    if report['undecodable']:
        print(f"WARNING {len(report['undecodable'])} videos cannot be decoded, see "
              f"{out / 'undecodable.json'}", file=sys.stderr)


def _problems(counts: Mapping[str, Any], shared: Sequence[str]) -> list[str]:
    """Return what there is to say against a split."""
    problems = list(counts['differences'])
    if counts['missing']:
        problems.append(f"{len(counts['missing'])} of {counts['listed_videos']} videos are "
                        f"missing and left out: {counts['missing'][:3]}; all are in the report")
    if counts['without_captions']:
        problems.append(f"{len(counts['without_captions'])} listed videos have no caption: "
                        f"{counts['without_captions'][:3]}")
    if shared:
        problems.append(f'{len(shared)} videos are in train as well: {shared[:3]}')
    return problems
