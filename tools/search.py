"""Find moments in one's own videos by a sentence.

    python tools/search.py index ~/Videos --index my.index
    python tools/search.py query --index my.index "a dog jumps into the water"
    python tools/search.py query --index my.index --video clip.mp4
    python tools/search.py serve --index my.index
    python tools/search.py info --index my.index
    python tools/search.py verify --index my.index
    python tools/search.py remove ~/Videos/old --index my.index

An index past one machine lies in Milvus; each command takes its address in place of a file:
    python tools/search.py index ~/Videos --store http://HOST:19530/COLLECTION

Without --config it searches by zero-shot CLIP. A trained model sees more:
    python tools/search.py index ~/Videos --index my.index \
        --config configs/clip2video_msrvtt.py --checkpoint work_dirs/clip2video_msrvtt/epoch_5.pth
"""
from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.append(str(Path(__file__).resolve().parent))
from command_line import (
    Parser,
    add_cfg_options,
    non_blank,
    non_negative_float,
    positive_int,
    run,
    whole_number,
)

# Waiting threads of the model that spin would take the time of the processes that decode.
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')

if TYPE_CHECKING:
    from mmc2v.search import Report, VideoHit, VideoSearch
    from mmc2v.search.ranks import Ranks


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(__doc__)
    commands = parser.add_subparsers(dest='command', required=True, parser_class=Parser,
                                     help='what to do; each has a --help of its own')
    index = commands.add_parser('index', description='Bring an index up to date with folders.',
                                help='bring an index up to date with folders')
    index.add_argument('roots', nargs='+', help='folders, with all that is in them, or files')
    index.add_argument('--window', type=non_negative_float,
                       help='seconds of a clip; default 10, or that of the index')
    index.add_argument('--stride', type=non_negative_float,
                       help='seconds from one clip to the next; default half a window')
    index.add_argument('--workers', type=positive_int,
                       help='processes that decode; default one a core')
    index.add_argument('--ann', action='store_true',
                       help="also make the file for approximate search, for a million clips and "
                       "more; needs pip install 'mmc2v[ann]'")
    index.add_argument('--rebuild', action='store_true',
                       help='make the index anew, and replace the old one when it is whole')
    index.add_argument('--launcher', choices=['none', 'pytorch'], default='none',
                       help='pytorch: one of several processes, see tools/dist_search.sh')
    query = _add_query(commands)
    _add_serve(commands)
    remove = commands.add_parser('remove', description='Forget files; they stay where they are.',
                                 help='forget files')
    remove.add_argument('roots', nargs='+', help='folders or files')
    commands.add_parser('info', description='Show what is in an index, and what could not be read.',
                        help='show what is in an index, and what could not be read')
    commands.add_parser('verify', description='Look at every row and file of an index.',
                        help='look at every row and file of an index')
    for name, command in commands.choices.items():
        _add_place(command)
        if name in ('index', 'query', 'serve'):
            _add_model(command)
    args = parser.parse_args()
    args.index = args.store or args.index
    if args.command == 'query' and (args.sentence is None) == (args.video is None):
        query.error('give a sentence or --video, one of them')
    return args


def _add_query(commands: Any) -> argparse.ArgumentParser:
    query = commands.add_parser('query', help='find moments by a sentence',
                                description='Find moments by a sentence, or videos like one.')
    query.add_argument('sentence', nargs='?', type=non_blank, help='what to look for')
    query.add_argument('--video', type=Path,
                       help='find videos like this one, in place of a sentence')
    query.add_argument('--top', type=positive_int, default=10, help='videos to show; default 10')
    query.add_argument('--per-video', type=positive_int, default=3,
                       help='moments of a video; default 3')
    query.add_argument('--json', action='store_true', help='print one JSON document')
    query.add_argument('--show', type=Path, metavar='PICTURE',
                       help='draw frames of the moments into a picture')
    return query


def _add_place(command: argparse.ArgumentParser) -> None:
    place = command.add_mutually_exclusive_group(required=True)
    place.add_argument('--index', type=Path, help='file of the index')
    place.add_argument('--store', metavar='ADDRESS', type=address, help='an index in Milvus, '
                       "http://HOST:19530/COLLECTION; needs pip install 'mmc2v[milvus]'")


def address(text: str) -> str:
    """Check the form of an address."""
    from mmc2v.search.milvus_connection import parse_address
    try:
        parse_address(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _add_serve(commands: Any) -> None:
    serve = commands.add_parser('serve', help='search in a browser', description='Search in a '
                                "browser; needs pip install 'mmc2v[web]'.")
    serve.add_argument('--host', default='127.0.0.1', type=non_blank,
                       help='address to listen on; default 127.0.0.1, which this machine alone '
                       'reaches')
    serve.add_argument('--port', default=8080, type=whole_number(1, 65535), help='default 8080')
    serve.add_argument('--token', nargs='?', const='', help='ask clients for a secret, which the '
                       'printed link has: yours, or one that is made up; needed with other hosts. '
                       'The environment variable MMC2V_TOKEN does the same unseen by ps')
    serve.add_argument('--name', nargs='+', default=[], metavar='NAME',
                       help='further names under which browsers reach the server')


def _add_model(command: argparse.ArgumentParser) -> None:
    command.add_argument('--config', help='config of the model, or folder of an exported one; '
                         'default that of the index, for a new one zero-shot CLIP')
    command.add_argument('--checkpoint', help='its checkpoint')
    command.add_argument('--device', help='such as cpu or cuda:0; default a GPU if there is one')
    command.add_argument('--precision', choices=['float32', 'bfloat16'],
                         help='of the towers; default bfloat16 on CPUs with instructions for it')
    add_cfg_options(command)


def open_search(args: argparse.Namespace, index: str | Path) -> VideoSearch:
    """Open an index with the model that the command line names."""
    from mmc2v.search import VideoSearch
    return VideoSearch(index, args.config, args.checkpoint, device=device_of(args),
                       precision=args.precision, cfg_options=args.cfg_options,
                       window=getattr(args, 'window', None), stride=getattr(args, 'stride', None))


def device_of(args: argparse.Namespace) -> str | None:
    """Return the device: of several processes each has a GPU of its own."""
    if getattr(args, 'launcher', 'none') == 'none' or args.device:
        return args.device
    import torch
    if not torch.cuda.is_available():
        return None
    return f"cuda:{int(os.environ.get('LOCAL_RANK', 0)) % torch.cuda.device_count()}"


def index_videos(args: argparse.Namespace) -> None:
    """Index, and say what was done."""
    from search_output import report_lines

    from mmc2v.search.ranks import Ranks
    from mmc2v.search.stores import is_remote
    target = args.index if is_remote(args.index) else os.path.abspath(args.index)
    ranks = Ranks() if args.launcher == 'none' else Ranks.of_launcher()
    if args.rebuild and ranks.count > 1:
        raise ValueError('--rebuild is for one process; with several index into another place, '
                         'and delete the old one then')
    if args.rebuild:
        from mmc2v.search.writing import rebuilding
        with rebuilding(target) as new, open_for_rebuilding(args, new) as search:
            report = bring_up_to_date(args, search, ranks)
    else:
        with open_search(args, target) as search:
            report = bring_up_to_date(args, search, ranks)
    if not ranks.is_first:
        return
    print('\n'.join(report_lines(report, args.index)))
    if args.ann:
        with open_search(args, target) as search:
            made = search.build_approximate()
        print('approximate search: ' + (
            f'{made["cells"]} cells, of which a query reads {made["probes"]}; recall '
            f'{100 * made["recall"]:.1f} % on made queries' if made else 'unchanged'))


def open_for_rebuilding(args: argparse.Namespace, new: str) -> VideoSearch:
    """Open what an interrupted run has made anew by the same model, or begin."""
    from mmc2v.search.records import UnusableIndexError
    from mmc2v.search.settings import DEFAULT_CONFIG
    from mmc2v.search.stores import delete, exists
    args.config = args.config or DEFAULT_CONFIG
    if exists(new):
        try:
            search = open_search(args, new)
            search.model  # noqa: B018  refused if it is another
            return search
        except UnusableIndexError:
            delete(new)
    return open_search(args, new)


def bring_up_to_date(args: argparse.Namespace, search: VideoSearch, ranks: Ranks) -> Report:
    """Index folders, and show how far it is."""
    from search_output import IndexProgress

    from mmc2v.search.settings import DEFAULT_CONFIG
    settings = search.settings
    if not ranks.is_first:
        return search.add(*args.roots, workers=args.workers, ranks=ranks)
    print(f"model: {settings['name']}, {settings['precision']}; windows of "
          f"{settings['window']:g} s every {settings['stride']:g} s")
    if settings['name'] == DEFAULT_CONFIG.split('::')[1].removesuffix('.py'):
        from mmc2v.search.model import describe_default
        print(describe_default())
    with IndexProgress() as progress:
        return search.add(*args.roots, workers=args.workers, watch=progress, ranks=ranks)


def query_index(args: argparse.Namespace) -> None:
    """Search, and show what was found."""
    from search_output import hit_lines, to_document
    query: Any = args.video if args.video is not None else args.sentence
    with open_search(args, args.index) as search:
        hits: list[VideoHit] = search.search(query, args.top, args.per_video)
        if search.note:
            print(search.note, file=sys.stderr)
    if args.show is not None:
        from visualizations.moments_picture import draw_moments
        draw_moments(hits, str(query), args.show)
    if args.json:
        print(json.dumps(to_document(query, args.index, hits), indent=1))
    else:
        print('\n'.join(hit_lines(hits)))
        if args.show is not None:
            print(f'picture: {args.show}')


def serve_index(args: argparse.Namespace) -> None:
    """Search in a browser until interrupted."""
    import secrets

    from mmc2v.search.web import Access, host_names, serve
    token = os.environ.get('MMC2V_TOKEN') if args.token is None else args.token
    if token == '':
        token = secrets.token_urlsafe(24)
    access = Access(args.host, args.port, token, tuple(host_names(args.name)))
    search = open_search(args, args.index)
    search.store  # noqa: B018  said now where there is none
    serve(search, access)


def main() -> None:
    """Do what the command line says."""
    args = parse_args()
    commands = dict(index=index_videos, query=query_index, serve=serve_index)
    if args.command in commands:
        return commands[args.command](args)
    from search_output import info_lines

    from mmc2v.search import VideoSearch
    from mmc2v.search.verify import problems_of
    with VideoSearch(args.index) as search:
        if args.command == 'remove':
            print(f'{search.remove(*args.roots)} files forgotten')
        elif args.command == 'info':
            print('\n'.join(info_lines(search.store)))
        else:
            problems = problems_of(search.store)
            print('\n'.join([*problems, f'{len(problems)} problems']))
            sys.exit(bool(problems))


if __name__ == '__main__':
    try:
        run(main)
    except KeyboardInterrupt:
        sys.exit('interrupted: what was indexed stays; the same command goes on')
