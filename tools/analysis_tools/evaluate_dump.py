"""Recompute retrieval figures from a dump of embeddings, without encoding anything.

    python tools/test.py CONFIG CHECKPOINT --dump dump.npz
    python tools/analysis_tools/evaluate_dump.py dump.npz --dual-softmax --all-captions

Without options it gives what tools/test.py gave. The table and the JSON have the same form.
"""
import argparse
import sys
from dataclasses import replace
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))
from command_line import Parser, run


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(__doc__)
    parser.add_argument('dump', type=Path, help='file of tools/test.py --dump')
    parser.add_argument('--out', type=Path, help='write the metrics to this JSON file')
    parser.add_argument('--all-captions', action='store_true',
                        help="also V2T by the other convention: a video's best caption among all "
                        "captions instead of among videos' groups of captions")
    parser.add_argument('--dual-softmax', action='store_true',
                        help='also with dual softmax, which uses the whole query set')
    parser.add_argument('--query-bank', nargs='?', const=True, metavar='DUMP',
                        help='also with QB-Norm: by the bank in the dump, or by the captions of '
                        'another dump')
    parser.add_argument('--split', type=Path, metavar='ANNOTATION',
                        help='only the videos and captions of this annotation file')
    return parser.parse_args()


def main() -> dict[str, float]:
    """Measure as the command line says."""
    args = parse_args()
    from mmc2v.annotations import read_annotation
    from mmc2v.evaluation import RetrievalEmbeddings, format_table, retrieval_metrics
    from mmc2v.whole_files import to_json, write_whole

    embeddings = RetrievalEmbeddings.load(args.dump)
    if args.split is not None:
        embeddings = embeddings.select(read_annotation(str(args.split)))
    files = f"'{args.dump}'"
    if isinstance(args.query_bank, str):
        files += f" with the query bank '{args.query_bank}'"
        embeddings = replace(embeddings, query_bank=RetrievalEmbeddings.load(args.query_bank).text)
    try:
        metrics = retrieval_metrics(
            embeddings, all_captions=args.all_captions, dual_softmax=args.dual_softmax,
            query_bank=bool(args.query_bank),
            group_name=embeddings.info.get('group_name', ''),
            by_kind=embeddings.info.get('by_kind', False))
    except ValueError as error:
        raise ValueError(f'{files}: {error}') from error
    print(format_table(metrics))
    if args.out is not None:
        write_whole(args.out, to_json(metrics))
    return metrics


if __name__ == '__main__':
    run(main)
