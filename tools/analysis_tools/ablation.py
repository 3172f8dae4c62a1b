"""Train every ablation with several seeds and write what they reach into docs/ablation.md.

    python tools/analysis_tools/ablation.py

Runs that are finished are not repeated, and a run that was interrupted goes on from its last
checkpoint, so the command can be stopped and repeated at any time; after a change of the configs
remove work_dirs/ablation. It takes under two hours on two cores with three seeds.
"""
import datetime
import os
import shlex
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ablation_report import (
    VARIANTS,
    read_figures,
    summary_line,
    write_report,
)
from results_page import page_with_markers

sys.path.append(str(Path(__file__).resolve().parents[1]))
from command_line import Parser, positive_int, run
from command_line import seed as seed_number

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / 'configs' / 'ablation'


def train(name: str, seed: int, work_dir: Path) -> dict[str, float]:
    """Train one variant with one seed, unless it is done; return its last figures.

    Raises:
        ChildProcessError: If training fails; the last lines of its output are in the message.
    """
    result = work_dir / 'best_and_last.json'
    if not result.is_file():
        work_dir.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, str(ROOT / 'tools' / 'train.py'), str(CONFIGS / f'{name}.py'),
                   '--work-dir', str(work_dir), '--resume', '--cfg-options',
                   f'randomness.seed={seed}']
        with open(work_dir / 'output.txt', 'a') as output:
            print('$', shlex.join(command), file=output, flush=True)
            code = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, cwd=ROOT,
                                  env={**os.environ, 'OMP_NUM_THREADS': '1'}).returncode
        if code:
            tail = (work_dir / 'output.txt').read_text().splitlines()[-15:]
            raise ChildProcessError(
                f'{name} with seed {seed} ended with {code}; see {work_dir / "output.txt"}:\n'
                + '\n'.join(tail))
        if not result.is_file():
            # it was killed between its last checkpoint and its only validation
            shutil.rmtree(work_dir)
            return train(name, seed, work_dir)
    metrics = read_figures(work_dir)
    for checkpoint in work_dir.glob('*.pth'):
        checkpoint.unlink()  # of many runs they would fill the disk
    return metrics


def train_all(runs: list[tuple[str, int]], out: Path, jobs: int) -> dict:
    """Train all runs, some at a time; return the figures of each."""
    results: dict[tuple[str, int], dict[str, float]] = {}
    start = time.time()

    def one(run: tuple[str, int]) -> None:
        name, seed = run
        begin = time.time()
        results[run] = train(name, seed, out / f'{name}-seed{seed}')
        left = (time.time() - start) / len(results) * (len(runs) - len(results))
        print(f'[{len(results)}/{len(runs)}] {name}, seed {seed}: {summary_line(results[run])}; '
              f'{time.time() - begin:.0f} s, about {left / 60:.0f} min left', flush=True)

    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(one, run) for run in runs]
        try:
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return results


def main() -> None:
    """Make the data, train, report."""
    parser = Parser(__doc__)
    parser.add_argument('--seeds', type=seed_number, nargs='+', default=[0, 1, 2],
                        help='seeds of each variant; default 0 1 2')
    parser.add_argument('--variants', nargs='+', default=list(VARIANTS), choices=list(VARIANTS),
                        metavar='NAME', help=f'of {", ".join(VARIANTS)}; default all')
    parser.add_argument('--jobs', type=positive_int, default=os.cpu_count() or 1,
                        help='runs at a time, one thread each; default one a core')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/ablation'),
                        help='folder of the runs; default work_dirs/ablation')
    parser.add_argument('--report', type=Path, default=ROOT / 'docs' / 'ablation.md',
                        help='file whose generated part is written anew; default docs/ablation.md')
    args = parser.parse_args()
    page_with_markers(args.report)  # before the long work
    made = subprocess.run([sys.executable, str(
        ROOT / 'tools' / 'dataset_converters' / 'make_moving_shapes.py'), '--events'],
        cwd=ROOT, check=False)
    if made.returncode:
        sys.exit(made.returncode)  # it has said why
    runs = [(name, seed) for seed in args.seeds for name in args.variants]
    results = train_all(runs, args.out.resolve(), args.jobs)
    write_report(results, args.report, datetime.date.today())
    print(f'written: {args.report}')


if __name__ == '__main__':
    run(main)
