"""Read thousands of damaged videos, and count what comes back.

    python tools/analysis_tools/fuzz_decoding.py [--files 10000]
    python tools/analysis_tools/fuzz_decoding.py --only SEED ... --keep FOLDER

Makes short videos in all containers and codecs that are read and can be made, damages each file in
one of twenty ways (bytes, packets, times, flags of keyframes, tables, sizes, joined files, files
that are none) and reads it by the whole pipeline, from the file to the packed item, strictly and
tolerantly, in processes that a crash or a hang cannot hide in. Each file is also decoded plainly
from its beginning, without any of our code. Counted are, and must be zero:

crash, hang         the process died, or took longer than the limit for one file
memory, descriptors reading took more memory than the limit, or left a file open
another error       something else than VideoDecodeError or ValueError, or the file is not named
another time        strict: a frame looks like the one that plain decoding shows at another time,
                    or, where packets were lost or flags of keyframes changed, is another one of
                    the undamaged video
flagged             strict: a frame that the decoder calls corrupt
silent              tolerant: frames other than strict reading returns, and no report
opened              a script, a playlist, a text or an image was read as a video

Also counted is what no decoder can notice, because damage met bytes that still make sense: strict
frames whose pixels differ from those of the undamaged file at that time, and frames that the file
now shows at another time than the undamaged one did. Linux only: memory is read from /proc.
"""
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))
from command_line import Parser, positive_int, run, seed


def main() -> int:
    """Fuzz and print; the exit code is 1 where something happened that must not."""
    parser = Parser(__doc__)
    parser.add_argument('--files', type=positive_int, default=10000,
                        help='damaged files; default 10000')
    parser.add_argument('--seed', type=seed, default=0, help='seed of the first; default 0')
    parser.add_argument('--only', type=seed, nargs='+', metavar='SEED',
                        help='read the files of these seeds alone')
    parser.add_argument('--keep', type=Path, metavar='FOLDER',
                        help='write the files there with which something happened that must not')
    parser.add_argument('--processes', type=positive_int, default=2, help='processes; default 2')
    parser.add_argument('--limit', type=positive_int, default=20,
                        help='seconds after which one file counts as a hang; default 20')
    parser.add_argument('--memory', type=positive_int, default=1024,
                        help='MiB that reading one file may take; default 1024: frames of the '
                        'largest size that is allowed take 300 each')
    args = parser.parse_args()
    from fuzz_judge import FAULTS
    from fuzz_processes import fuzz, keep

    start = time.perf_counter()
    result = fuzz(args.only or range(args.seed, args.seed + args.files), args.processes,
                  args.limit, args.memory * 2 ** 20)
    seconds = time.perf_counter() - start
    for table in ('container', 'damage'):
        print(f'\nby {table:27} files   read  refused | tolerant: read  filled  refused |  MiB    s'
              ' | unnoticed: pixels    time  of frames')
        for key, counts in sorted(result[table].items()):
            print_row(key, counts)
    total = result['total']
    print('\n' + ', '.join(f'{key}: {total[key]}' for key in (
        'files', 'strict frames', 'strict frames with a counterpart', 'pixels damaged unnoticed',
        'time damaged unnoticed', *FAULTS)))
    print(f'{seconds:.0f} s, {total["files"] / seconds:.0f} files/s')
    if args.keep:
        keep(result['failures'], args.keep)
    return int(bool(result['failures']))


def print_row(key: str, counts: dict) -> None:
    """Print one row of a table."""
    compared = counts['strict frames with a counterpart']
    pixels, times = (counts[f'{kind} damaged unnoticed'] / max(1, compared)
                     for kind in ('pixels', 'time'))
    filled = counts['tolerant: reported']
    print(f'  {key:28} {counts["files"]:5} {counts["strict: read"]:6} '
          f'{counts["strict: refused"]:8} | {counts["tolerant: read"] - filled:14} {filled:7} '
          f'{counts["tolerant: refused"]:8} | {counts["peak"] / 2 ** 20:4.0f} '
          f'{counts["slowest"]:4.1f} | {pixels:17.1%} {times:7.1%} {compared:10}')


if __name__ == '__main__':
    sys.exit(run(main))
