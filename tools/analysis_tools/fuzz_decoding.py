"""Read thousands of damaged videos, and count what comes back.

    python tools/analysis_tools/fuzz_decoding.py [--files 10000]

Makes short videos in several codecs and containers, damages each file in one of several ways (cut
off, zeroed, random bytes, flipped bits, pieces removed or repeated) and reads six frames, strictly
and tolerantly, in processes that a crash or a hang cannot hide in. Each file is also decoded
plainly from its beginning, without any of our code. Counted are, and must be zero:

crash, hang         the process died, or took longer than the limit for one file
another error       something else than VideoDecodeError was raised
another time        strict: a frame looks like the one that plain decoding shows at another time
flagged             strict: a frame that the decoder calls corrupt
silent              tolerant: frames other than strict reading returns, and no report

Also counted is what no decoder can notice, because damage met bytes that still make sense: strict
frames whose pixels differ from those of the undamaged file at that time, and frames that the file
now shows at another time than the undamaged one did.
"""
import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))
from command_line import Parser, positive_int, run, seed


def main() -> int:
    """Fuzz and print; the exit code is 1 where something happened that must not."""
    parser = Parser(__doc__)
    parser.add_argument('--files', type=positive_int, default=10000,
                        help='damaged files; default 10000')
    parser.add_argument('--seed', type=seed, default=0, help='seed of the first; default 0')
    parser.add_argument('--workers', type=positive_int, default=2, help='processes; default 2')
    parser.add_argument('--limit', type=positive_int, default=20,
                        help='seconds after which one file counts as a hang; default 20')
    args = parser.parse_args()
    from damaged_files import FAULTS, fuzz

    with tempfile.TemporaryDirectory() as folder:
        result = fuzz(args.files, args.seed, args.workers, args.limit, Path(folder))
    for table in ('source', 'way'):
        print(f'\nby {table:17} files  strict read  refused  tolerant read  reported  '
              'unnoticed: pixels           time')
        for key, counts in sorted(result[table].items()):
            compared = counts['strict frames with a counterpart']
            pixels, times = (counts[f'{kind} damaged unnoticed'] for kind in ('pixels', 'time'))
            print(f'  {key:18} {counts["files"]:5} {counts["strict: read"]:12} '
                  f'{counts["strict: refused"]:8} {counts["tolerant: read"]:14} '
                  f'{counts["tolerant: reported"]:9} {pixels:9} ({pixels / max(1, compared):6.2%})'
                  f' {times:5} ({times / max(1, compared):5.2%}) of {compared}')
    total = result['total']
    print('\n' + ', '.join(f'{key}: {total[key]}' for key in (
        'files', 'strict frames', 'strict frames with a counterpart', 'pixels damaged unnoticed',
        'time damaged unnoticed', *FAULTS)))
    for fault, seeds in result['suspects'].items():
        print(f'{fault}: seeds {seeds[:20]}')
    return int(bool(result['suspects']))


if __name__ == '__main__':
    sys.exit(run(main))
