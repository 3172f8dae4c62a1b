"""A converter's command line, and the way from there to the files that it writes."""
import argparse
import os
import posixpath
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from mmc2v.strict_text import read_json
from mmc2v.whole_files import open_whole, to_json

sys.path.append(str(Path(__file__).resolve().parents[2]))
from command_line import Parser, positive_int
from command_line import run as run_tool

from .conversion import Conversion
from .report import Published, count_split, print_report, shared_ids
from .videos import find_undecodable, find_videos, match_id, refuse_shared_files

SPLITS = ('train', 'val', 'test')


def converter_parser(description: str) -> Parser:
    """Return a parser of what all converters have in common."""
    parser = Parser(description)
    parser.add_argument('--videos', type=Path, metavar='DIR',
                        help='folder of the videos, searched with its subfolders; without it '
                        'names are written with the usual extension and nothing is matched')
    parser.add_argument('--out', type=Path, required=True, metavar='DIR',
                        help='folder for train.json, val.json, test.json and report.json')
    parser.add_argument('--splits', nargs='+', choices=SPLITS, metavar='SPLIT',
                        help='prepare these splits alone, where the videos of others are not there')
    parser.add_argument('--check-videos', action='store_true',
                        help='decode every video and write undecodable.json')
    parser.add_argument('--skip-empty-captions', action='store_true',
                        help='leave empty captions out instead of refusing the file')
    parser.add_argument('--workers', type=positive_int, default=os.cpu_count(),
                        help='processes that check videos; default: all cores')
    return parser


def run(description: str, data_set: str, extension: str,
        protocols: Mapping[str, Mapping[str, Published]],
        read: Callable[[Conversion, Path, str], None]) -> None:
    """Convert official files as the command line says.

    Args:
        description (str): Help text.
        data_set (str): Its name, for the report.
        extension (str): Extension of names where no videos are given.
        protocols (Mapping): Published counts of each split of each protocol.
        read (Callable): ``read(conversion, folder, protocol)`` adds the splits.
    """
    parser = converter_parser(description)
    parser.add_argument('--annotations', type=Path, required=True, metavar='DIR',
                        help='folder of the official files under their official names')
    names = list(protocols)
    parser.add_argument('--protocol', default=names[0], choices=names, metavar='NAME',
                        type=lambda name: next((known for known in names
                                                if known.lower() == name.lower()), name),
                        help=f'one of {", ".join(names)}; default {names[0]}')
    args = parser.parse_args()
    run_tool(lambda: convert(args, data_set, args.protocol, extension, protocols[args.protocol],
                             lambda conversion: read(conversion, args.annotations, args.protocol)))


def convert(args: argparse.Namespace, data_set: str, protocol: str, extension: str,
            published: Mapping[str, Published], read: Callable[[Conversion], None]) -> None:
    """Convert, match the videos, and write the annotations and the report.

    Args:
        args (argparse.Namespace): From a :func:`converter_parser`.
        data_set (str): Its name, for the report.
        protocol (str): Name of the protocol, likewise.
        extension (str): Extension of names where no videos are given.
        published (Mapping): Published counts of each split.
        read (Callable): ``read(conversion)`` adds the splits.

    Raises:
        ValueError: If what was read, or the options, do not fit; also if ``--out`` holds
            something else.
    """
    if args.check_videos and args.videos is None:
        raise ValueError('--check-videos needs --videos')
    _refuse_other_content(args.out, data_set, protocol)
    conversion = Conversion(args.skip_empty_captions)
    read(conversion)
    report = dict(data_set=data_set, protocol=protocol,
                  annotations=sorted(set(conversion.sources)), notes=conversion.notes,
                  matched_to_files=args.videos is not None, splits={},
                  shared_ids=shared_ids(conversion.splits),
                  skipped_empty_captions=conversion.skipped,
                  repeated_captions=conversion.repeated, undecodable=None)
    annotations = _match(conversion, args, extension, published, report)
    _write(args.out, dict(report=report, **annotations))
    for split in set(SPLITS) - set(conversion.splits):  # of an earlier run
        (args.out / f'{split}.json').unlink(missing_ok=True)
    if args.check_videos:
        names = sorted({name for videos in annotations.values() for name in videos})
        report['undecodable'] = find_undecodable(args.videos, names, args.workers)
        _write(args.out, dict(undecodable=report['undecodable'], report=report))
    print_report(report, args.out)


def _match(conversion: Conversion, args: argparse.Namespace, extension: str,
           published: Mapping[str, Published], report: dict) -> dict[str, dict[str, list[str]]]:
    """Return the annotation of each split that is asked for, and count it in the report."""
    absent = [split for split in args.splits or () if split not in conversion.splits]
    if absent:
        raise ValueError(f'--splits {absent[0]}: there are {list(conversion.splits)}')
    listed = [name for videos in conversion.splits.values() for name in videos]
    if args.videos is None:
        files = {name: name + extension if match_id(name) == posixpath.basename(name) else name
                 for name in listed}
        refuse_shared_files(files)
    else:
        files = find_videos(args.videos, listed)
    annotations = {}
    for split in args.splits or conversion.splits:
        videos = conversion.splits[split]
        annotations[split] = {files[name]: texts for name, texts in videos.items()
                              if name in files}
        if not annotations[split]:
            raise ValueError(
                f"{split}: --videos '{args.videos}' has none of its {len(videos)} videos, such as "
                f"'{next(iter(videos))}'; --splits prepares the others alone")
        report['splits'][split] = count_split(
            videos, [name for name in videos if name not in files],
            conversion.without_captions[split], published[split])
    return annotations


def _refuse_other_content(out: Path, data_set: str, protocol: str) -> None:
    """Refuse a folder with annotations of something else, or with some that nobody knows of."""
    if (out / 'report.json').is_file():
        found = read_json(out / 'report.json')
        if 'data_set' not in found or 'protocol' not in found:
            raise ValueError(f"'{out / 'report.json'}' is not the report of one of our converters, "
                             'and would be overwritten; give another folder by --out')
        if (found.get('data_set'), found.get('protocol')) != (data_set, protocol):
            raise ValueError(f"'{out}' holds {found.get('data_set')} {found.get('protocol')}; give "
                             'every protocol a folder of its own by --out')
    else:
        strangers = [f'{split}.json' for split in SPLITS if (out / f'{split}.json').exists()]
        if strangers:
            raise ValueError(f"'{out}' holds {strangers}, which no converter wrote and which would "
                             'be overwritten; give another folder by --out')


def _write(folder: Path, contents: Mapping[str, Any]) -> None:
    """Write JSON files, each whole or not at all, none before all are ready."""
    with ExitStack() as files:  # which ends what is begun last first
        for name, content in reversed(contents.items()):
            file = files.enter_context(open_whole(folder / f'{name}.json'))
            file.write(to_json(content))
            file.flush()
