"""One conversion: captions by split, matched to video files, counted, and written."""
import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Optional

from .videos import find_undecodable, find_videos, match_id


class Published(NamedTuple):
    """Counts of a split as published, None where the literature gives none."""

    videos: Optional[int]
    captions: Optional[int]


@dataclass
class Conversion:
    """Collects splits while official files are read.

    Attributes:
        skip_empty (bool): Leave empty captions out instead of refusing them.
        splits (dict[str, dict[str, list[str]]]): Captions of each video of each split, in order.
        sources (list[str]): Names of the files that were read.
        without_captions (dict[str, list[str]]): Listed videos that no file has a caption for.
        skipped (list[str]): Where empty captions were left out.
    """

    skip_empty: bool = False
    splits: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    sources: list[str] = field(default_factory=list)
    without_captions: dict[str, list[str]] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    def source(self, path: Path) -> Path:
        """Note that a file is read; return it."""
        self.sources.append(path.name)
        return path

    def caption(self, where: str, text: Any) -> Optional[str]:
        """Check one caption.

        Args:
            where (str): File and row, for the message.
            text (Any): What stands there.

        Returns:
            str | None: The caption without surrounding blanks; None if it is to be left out.

        Raises:
            ValueError: If it is not text, or empty.
        """
        if not isinstance(text, str):
            raise ValueError(f'{where}: expected a caption, found {text!r}')
        if text.strip():
            return ' '.join(text.split())
        if not self.skip_empty:
            raise ValueError(f'{where}: the caption is empty; --skip-empty-captions leaves such '
                             'captions out and lists them in the report')
        self.skipped.append(where)
        return None

    def captions(self, where: str, texts: Any) -> list[str]:
        """Check a list of captions, see :meth:`caption`."""
        if not isinstance(texts, (list, tuple)):
            raise ValueError(f'{where}: expected a list of captions, found {texts!r}')
        checked = (self.caption(f'{where}, caption {row}', text)
                   for row, text in enumerate(texts, 1))
        return [text for text in checked if text is not None]

    def add(self, split: str, ids: Iterable[str], captions: Mapping[str, Sequence[str]],
            list_name: str, may_lack_captions: bool = False, first_row: int = 1) -> None:
        """Add a split.

        Args:
            split (str): 'train', 'val' or 'test'.
            ids (Iterable[str]): Videos that the list names, in its order.
            captions (Mapping[str, Sequence[str]]): Captions of them, and maybe of others.
            list_name (str): File that lists them, for the message.
            may_lack_captions (bool): Report videos without captions instead of refusing them.
            first_row (int): Row of the first id in that file. Defaults to 1.

        Raises:
            ValueError: If listed videos have no caption.
        """
        ids = list(ids)
        lacking = [name for name in ids if not captions.get(name)]
        if lacking and (len(lacking) == len(ids) or not may_lack_captions):
            raise ValueError(
                f"{len(lacking)} of {len(ids)} videos of '{list_name}' (row "
                f"{ids.index(lacking[0]) + first_row}: '{lacking[0]}') have no caption in "
                f'{sorted(set(self.sources) - {list_name})}; the files do not belong together')
        self.without_captions[split] = lacking
        self.splits[split] = {name: list(captions[name]) for name in ids if captions.get(name)}


def parse_args(description: str, protocols: Mapping[str, Any],
               argv: Sequence[str]) -> argparse.Namespace:
    """Parse the command line that all converters share."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--annotations', type=Path, required=True, metavar='DIR',
                        help='folder of the official files under their official names')
    parser.add_argument('--videos', type=Path, metavar='DIR',
                        help='folder of the videos, searched with its subfolders; without it '
                        'names are written with the usual extension and nothing is matched')
    names = list(protocols)
    parser.add_argument('--protocol', default=names[0], choices=names, metavar='NAME',
                        type=lambda name: next((known for known in names
                                                if known.lower() == name.lower()), name),
                        help=f'one of {", ".join(names)}; default {names[0]}')
    parser.add_argument('--out', type=Path, required=True, metavar='DIR',
                        help='folder for train.json, val.json, test.json and report.json')
    parser.add_argument('--check-videos', action='store_true',
                        help='decode every video and write undecodable.json')
    parser.add_argument('--skip-empty-captions', action='store_true',
                        help='leave empty captions out instead of refusing the file')
    parser.add_argument('--workers', type=int, default=os.cpu_count(),
                        help='processes that check videos; default: all cores')
    args = parser.parse_args(argv)
    if args.check_videos and args.videos is None:
        parser.error('--check-videos needs --videos')
    return args


def run(description: str, data_set: str, extension: str,
        protocols: Mapping[str, Mapping[str, Published]],
        read: Callable[[Conversion, Path, str], None]) -> None:
    """Convert as the command line says, and end the process with a message where that fails.

    Args:
        description (str): Help text.
        data_set (str): Its name, for the report.
        extension (str): Extension of names where no videos are given.
        protocols (Mapping): Published counts of each split of each protocol.
        read (Callable): ``read(conversion, folder, protocol)`` adds the splits.
    """
    args = parse_args(description, protocols, sys.argv[1:])
    try:
        convert(args, data_set, extension, protocols[args.protocol], read)
    except Exception as error:
        from mmc2v.user_errors import exit_with_message  # imports much, for the exception alone
        exit_with_message(error)
        raise


def convert(args: argparse.Namespace, data_set: str, extension: str,
            published: Mapping[str, Published], read: Callable) -> dict[str, Any]:
    """Do the work of :func:`run`; return the report."""
    _refuse_other_content(args.out, data_set, args.protocol)
    conversion = Conversion(args.skip_empty_captions)
    read(conversion, args.annotations, args.protocol)
    files = None if args.videos is None else find_videos(
        args.videos, (name for videos in conversion.splits.values() for name in videos))
    report: dict[str, Any] = dict(
        data_set=data_set, protocol=args.protocol, annotations=sorted(set(conversion.sources)),
        matched_to_files=files is not None, splits={}, shared_ids=_shared_ids(conversion.splits),
        skipped_empty_captions=conversion.skipped, undecodable=None)
    annotations: dict[str, dict[str, list[str]]] = {}
    for split, videos in conversion.splits.items():
        names = {name: name if match_id(name) != name else name + extension for name in videos} \
            if files is None else files
        annotations[split] = {names[name]: texts for name, texts in videos.items()
                              if name in names}
        report['splits'][split] = _count(
            videos, [name for name in videos if name not in names],
            conversion.without_captions[split], published[split])
    _write(args.out, {**annotations, 'report': report})
    if args.check_videos:
        names = sorted({name for videos in annotations.values() for name in videos})
        report['undecodable'] = find_undecodable(args.videos, names, args.workers)
        _write(args.out, {'undecodable': report['undecodable'], 'report': report})
    _print(report, args.out)
    return report


def _refuse_other_content(out: Path, data_set: str, protocol: str) -> None:
    if (out / 'report.json').is_file():
        found = json.loads((out / 'report.json').read_text())
        if (found.get('data_set'), found.get('protocol')) != (data_set, protocol):
            raise ValueError(f"'{out}' holds {found.get('data_set')} {found.get('protocol')}; give "
                             'every protocol a folder of its own by --out')


def _shared_ids(splits: Mapping[str, Mapping]) -> dict[str, list[str]]:
    """Return the ids that a training split shares with others."""
    train = set(splits.get('train', ()))
    return {split: shared for split, videos in splits.items() if split != 'train'
            and (shared := sorted(train & set(videos)))}


def _count(videos: Mapping[str, list[str]], missing: list[str], without_captions: list[str],
           published: Published) -> dict[str, Any]:
    """Count a split and compare it with what is published, before anything is missing."""
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


def _write(folder: Path, contents: Mapping[str, Any]) -> None:
    """Write JSON files, each whole or not at all, none before all are ready."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / f'{name}.json.partial').write_text(json.dumps(content, indent=1) + '\n')
    for name in contents:
        os.replace(folder / f'{name}.json.partial', folder / f'{name}.json')


def _print(report: Mapping[str, Any], out: Path) -> None:
    """Say what was written, and loudly what is not as published."""
    print(f"{report['data_set']}, protocol {report['protocol']}, in {out}")
    for split, counts in report['splits'].items():
        print(f"  {split + '.json':11} {counts['videos']:7d} videos {counts['captions']:7d} "
              'captions')
        problems = list(counts['differences'])
        if counts['missing']:
            problems.append(f"{len(counts['missing'])} of {counts['listed_videos']} videos are "
                            f"missing and left out: {counts['missing'][:3]}; all are in the report")
        if counts['without_captions']:
            problems.append(f"{len(counts['without_captions'])} listed videos have no caption: "
                            f"{counts['without_captions'][:3]}")
        if split in report['shared_ids']:
            problems.append(f"{len(report['shared_ids'][split])} videos are in train as well: "
                            f"{report['shared_ids'][split][:3]}")
        for problem in problems:
            print(f'WARNING {split}: {problem}', file=sys.stderr)
    if report['skipped_empty_captions']:
        print(f"WARNING {len(report['skipped_empty_captions'])} empty captions were left out",
              file=sys.stderr)
    if report['undecodable']:
        print(f"WARNING {len(report['undecodable'])} videos cannot be decoded, see "
              f"{out / 'undecodable.json'}", file=sys.stderr)
