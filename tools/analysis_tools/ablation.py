"""Train every ablation with several seeds and write what they reach into docs/ablation.md.

    python tools/analysis_tools/ablation.py

Each seed has towers of its own, trained first on single frames; all variants start from them. Runs
that are finished are not repeated, and a run that was interrupted goes on from its last
checkpoint, so the command can be stopped and repeated at any time; after a change of the configs
remove work_dirs/ablation. It takes under two hours on two cores with three seeds; the variants of
four times the steps are trained only by name, and ablation_report.py sets them beside the others.
"""
from __future__ import annotations

import datetime
import os
import shlex
import shutil
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from ablation_report import summary_line, write_report
from ablation_runs import LONG, VARIANTS, last, read_curve, read_curves
from results_page import page_with_markers

sys.path.append(str(Path(__file__).resolve().parents[1]))
from command_line import Parser, positive_int, run
from command_line import seed as seed_number

if TYPE_CHECKING:
    from torch import Tensor

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / 'configs' / 'ablation'
# A tenth of a step on a CPU. Not in the configs, because torch before 2.4 has it for GPUs alone.
FAST = ('optim_wrapper.optimizer.fused=True',)


def train(name: str, seed: int, work_dir: Path, towers: Optional[Path] = None) -> None:
    """Train one config with one seed, unless it is done.

    Args:
        name (str): Of :data:`CONFIGS`.
        seed (int): Of the run.
        work_dir (Path): Its folder; ``best_and_last.json`` in it says that it is done.
        towers (Path, optional): CLIP weights to start from. Defaults to none: at random.

    Raises:
        ChildProcessError: If training fails; the last lines of its output are in the message.
    """
    result = work_dir / 'best_and_last.json'
    if result.is_file():
        return
    work_dir.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, str(ROOT / 'tools' / 'train.py'), str(CONFIGS / f'{name}.py'),
               '--work-dir', str(work_dir), '--resume', '--cfg-options',
               f'randomness.seed={seed}', *FAST,
               *([] if towers is None else [f'model.pretrained={towers}'])]
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
        # it was killed between its last checkpoint and its last validation
        shutil.rmtree(work_dir)
        train(name, seed, work_dir, towers)


def train_towers(seed: int, out: Path) -> Path:
    """Train the towers of a seed, unless it is done; return their weights in CLIP's layout."""
    import torch

    from mmc2v.checkpoint_reading import read_checkpoint_file
    from mmc2v.whole_files import open_whole

    work_dir = out / f'towers-seed{seed}'
    weights = work_dir / 'clip.pth'
    if not weights.is_file():
        train('towers', seed, work_dir)
        [checkpoint] = work_dir.glob('iter_*.pth')
        state = read_checkpoint_file(checkpoint, map_location='cpu')['state_dict']
        with open_whole(weights) as file:
            torch.save(in_clip_layout(state), file)
        remove_checkpoints(work_dir)
    return weights


def in_clip_layout(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return both towers' weights of a checkpoint of ours under OpenAI's keys."""
    prefixes = ('backbone.', 'text_backbone.', 'head.')
    return {name.removeprefix(prefix): value for name, value in state.items()
            for prefix in prefixes if name.startswith(prefix)}


def remove_checkpoints(work_dir: Path) -> None:
    """Of many runs they would fill the disk."""
    for checkpoint in work_dir.glob('iter_*.pth'):
        checkpoint.unlink()


def train_all(runs: list[tuple[str, int]], out: Path, jobs: int,
              keep_checkpoints: bool = False) -> None:
    """Train all runs, some at a time, each seed's towers before its variants."""
    done: list[tuple[str, int]] = []
    start = time.time()
    towers: dict[int, Future[Path]] = {}

    def one(run: tuple[str, int]) -> None:
        name, seed = run
        begin = time.time()
        work_dir = out / f'{name}-seed{seed}'
        train(name, seed, work_dir, towers[seed].result())
        if not keep_checkpoints:
            remove_checkpoints(work_dir)
        done.append(run)
        left = (time.time() - start) / len(done) * (len(runs) - len(done))
        print(f'[{len(done)}/{len(runs)}] {name}, seed {seed}: '
              f'{summary_line(last(read_curve(work_dir)))}; {time.time() - begin:.0f} s, '
              f'about {left / 60:.0f} min left', flush=True)

    with ThreadPoolExecutor(jobs) as pool:
        # those that others wait for are first in the queue, so nothing waits for ever
        towers.update({seed: pool.submit(train_towers, seed, out)
                       for seed in dict.fromkeys(seed for _, seed in runs)})
        futures = [pool.submit(one, run) for run in runs]
        try:
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def main() -> None:
    """Make the data, train, report."""
    parser = Parser(__doc__)
    parser.add_argument('--seeds', type=seed_number, nargs='+', default=[0, 1, 2],
                        help='seeds of each variant; default 0 1 2')
    parser.add_argument('--variants', nargs='+', choices=list(VARIANTS), metavar='NAME',
                        default=[name for name in VARIANTS if name not in LONG],
                        help=f'of {", ".join(VARIANTS)}; default all but {" and ".join(LONG)}')
    parser.add_argument('--jobs', type=positive_int, default=os.cpu_count() or 1,
                        help='runs at a time, one thread each; default one a core')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/ablation'),
                        help='folder of the runs; default work_dirs/ablation')
    parser.add_argument('--keep-checkpoints', action='store_true',
                        help="leave each run's last checkpoint in its folder, 70 MB each")
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
    out = args.out.resolve()
    train_all(runs, out, args.jobs, args.keep_checkpoints)
    curves = {run: curve for run, curve in read_curves(out).items() if run in runs}
    write_report(curves, args.report, datetime.date.today())
    print(f'written: {args.report}')


if __name__ == '__main__':
    run(main)
