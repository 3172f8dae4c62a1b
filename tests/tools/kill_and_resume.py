"""Disturb training in every way, resume it, and compare with a run that nobody disturbed.

    python -m tests.tools.kill_and_resume [--kills 20] [--workers 8] [--full-disks 16]
        [--second-runs 8] [--ranks 2]

Half of the kills come at any moment of a run, half while a checkpoint is being written. Then the
workers of loaders are killed, one of two ranks, files cannot grow as on a full disk, and a second
run is started in the folder of another, later or at the same moment. Only the newest checkpoint is
kept (max_keep_ckpts=1).
"""
import argparse
import os
import random
import re
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from mmaction.utils import register_all_modules
from tqdm import tqdm

from mmc2v.engine.checkpoint.files import problem_of_checkpoint
from mmc2v.engine.checkpoint.work_dir_lock import HOLDER

from ..tiny import run_config, write_dataset
from .disturbed_runs import ForkedRun, LaunchedRun, different, outcome, wait_until

WORKERS = ('train_dataloader.num_workers=2', 'val_dataloader.num_workers=1')


class Trials:
    """Disturbs runs; every method is one trial and returns what was violated.

    Args:
        folder (Path): For data, config and work dirs.
        rng (random.Random): Chooses moments and sizes.
        epochs (int): Of a run.
    """

    def __init__(self, folder: Path, rng: random.Random, epochs: int) -> None:
        self.folder, self.rng, self.epochs, self.count = folder, rng, epochs, 0
        register_all_modules()  # once, and not in every fork
        write_dataset(folder / 'data')
        config = run_config(folder / 'data', folder / 'unused', epochs=epochs, log_level='ERROR')
        config.default_hooks.checkpoint.max_keep_ckpts = 1
        config.pop('work_dir')
        self.config = folder / 'config.py'
        config.dump(self.config)
        self.reference, self.seconds = self._undisturbed(ForkedRun)

    def _undisturbed(self, kind: Callable) -> tuple[dict, float]:
        begun, work_dir = time.time(), self._new_work_dir()
        code, output = kind(self.config, work_dir).end()
        assert code == 0, output
        return outcome(work_dir, self.epochs), time.time() - begun

    def _new_work_dir(self) -> Path:
        self.count += 1
        return self.folder / f'run{self.count}'

    def _after(self, work_dir: Path, kind: Callable = ForkedRun) -> list[str]:
        """Resume to the end and compare."""
        code, output = kind(self.config, work_dir).end()
        if code != 0:
            return [f'{work_dir.name} cannot be resumed: {output[-3000:]}']
        return different(work_dir, outcome(work_dir, self.epochs), self.reference)

    def _kill_once(self, work_dir: Path) -> int:
        """Kill a run; return its exit code, as it may have ended before."""
        run = ForkedRun(self.config, work_dir)
        in_write, limit = self.rng.random() < 0.5, time.time() + self.rng.uniform(0, self.seconds)
        wait_until(lambda: run.has_ended() or (
            any(work_dir.glob('*.pth.*.partial')) if in_write else time.time() > limit))
        if in_write:
            time.sleep(self.rng.uniform(0, 0.03))
        os.kill(run.pid, signal.SIGKILL)  # without effect on one that has ended
        code, output = run.end()
        assert code in (0, -signal.SIGKILL), output
        return code

    def kill(self) -> list[str]:
        """Kill a run again and again."""
        work_dir = self._new_work_dir()
        for _ in range(2):
            if self._kill_once(work_dir) == 0:
                break
        return self._after(work_dir)

    def worker(self) -> list[str]:
        """Kill a worker of a loader: the run ends by saying so, or goes on."""
        work_dir = self._new_work_dir()
        run = ForkedRun(self.config, work_dir, *WORKERS)
        limit, problems = time.time() + self.rng.uniform(0, self.seconds), []
        wait_until(lambda: run.has_ended() or (time.time() > limit and run.children()))
        for worker in run.children()[:1]:
            os.kill(worker, signal.SIGKILL)
        code, output = run.end()
        # the thread that hands tensors to workers may print that one has gone
        if code != 0 and not (code == 1 and re.search('^error: DataLoader worker', output, re.M)):
            problems = [f'{work_dir.name} ended by {code} and said {output[-3000:]}']
        return problems + self._after(work_dir)

    def full_disk(self) -> list[str]:
        """Kill a run, resume it where files cannot grow, and resume it again."""
        work_dir, problems = self._new_work_dir(), []
        self._kill_once(work_dir)
        before = {path.name: path.stat().st_mtime_ns for path in work_dir.glob('epoch_*.pth')}
        partials = set(work_dir.rglob('*.partial'))
        size = int(10 ** self.rng.uniform(4, 7.5))
        code, output = ForkedRun(self.config, work_dir, size=size).end()
        lines = output.strip().splitlines()
        is_said = code == 1 and 'Traceback' not in output and re.fullmatch(
            "error: .*File too large.*'.*/.*'", lines[-1])
        if code != 0 and not is_said:
            problems.append(f'{work_dir.name}, {size} bytes: ended by {code}: {output[-3000:]}')
        if set(work_dir.rglob('*.partial')) - partials:
            problems.append(f'{work_dir.name}, {size} bytes: partial files were left')
        after = {path.name: path.stat().st_mtime_ns for path in work_dir.glob('epoch_*.pth')}
        if code != 0 and (after != before or any(
                problem_of_checkpoint(str(work_dir / name)) for name in after)):
            problems.append(f'{work_dir.name}, {size} bytes: {sorted(before)} became '
                            f'{sorted(after)}')
        return problems + self._after(work_dir)

    def second_run(self) -> list[str]:
        """Start two runs in a folder: one goes on as if it were alone, one is refused."""
        work_dir, is_together = self._new_work_dir(), self.rng.random() < 0.5
        runs = [ForkedRun(self.config, work_dir)]
        if not is_together:
            wait_until(lambda: runs[0].has_ended() or (work_dir / HOLDER).exists())
            time.sleep(self.rng.uniform(0, self.seconds / 2))
        runs.append(ForkedRun(self.config, work_dir))
        ends, problems = [run.end() for run in runs], []
        codes = [code for code, _ in ends]
        if codes != [0, 1] and not (is_together and codes == [1, 0]):
            return [f'{work_dir.name}: two runs ended by {codes}: {ends}']
        winner = runs[codes.index(0)]
        if f'process {winner.pid} on' not in ends[codes.index(1)][1]:
            problems.append(f'{work_dir.name}: refused by {ends[codes.index(1)][1]}')
        if len(list(work_dir.glob('*/*.log'))) != 1:
            problems.append(f'{work_dir.name}: the refused run has a log there')
        return problems + different(work_dir, outcome(work_dir, self.epochs), self.reference)


class RankTrials(Trials):
    """Trials with two ranks, by tools/dist_train.sh."""

    def __init__(self, *args) -> None:
        super().__init__(*args)
        self.reference, self.seconds = self._undisturbed(LaunchedRun)

    def rank(self) -> list[str]:
        """Kill one of two ranks: the launcher ends, nobody is left, and resuming is exact."""
        work_dir = self._new_work_dir()
        run = LaunchedRun(self.config, work_dir)
        limit = time.time() + self.rng.uniform(0, self.seconds)
        wait_until(lambda: run.has_ended() or (time.time() > limit and len(run.ranks()) == 2))
        for rank in self.rng.sample(run.ranks(), len(run.ranks()))[:1]:
            os.kill(rank, signal.SIGKILL)
        code, output = run.end()
        problems = [] if wait_until(lambda: not run.members(), 20) else [
            f'{work_dir.name}: {run.members()} were left behind']
        if code not in (0, 1):
            problems.append(f'{work_dir.name}: the launcher ended by {code}: {output[-3000:]}')
        return problems + self._after(work_dir, LaunchedRun)


def run(folder: Path, seed: int = 0, epochs: int = 5, **numbers: int) -> dict[str, list[list[str]]]:
    """Do so many trials of each kind, named as methods of :class:`Trials`.

    Returns:
        dict[str, list[list[str]]]: What was violated in each trial, by kind.
    """
    rng, found = random.Random(seed), {}
    trials = Trials(folder / 'one', rng, epochs)
    for kind, number in numbers.items():
        if kind == 'rank' and number:
            trials = RankTrials(folder / 'two', rng, epochs)
        found[kind] = []
        for _ in tqdm(range(number), desc=kind, disable=not sys.stderr.isatty()):
            problems = getattr(trials, kind)()
            tqdm.write('\n'.join(problems), file=sys.stderr, end='\n' * bool(problems))
            found[kind].append(problems)
    return found


def main() -> int:
    """Try all and print a table."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    number = partial(parser.add_argument, type=int)
    number('--kills', dest='kill', default=20, help='runs killed up to twice; default 20')
    number('--workers', dest='worker', default=8, help='workers killed; default 8')
    number('--full-disks', dest='full_disk', default=16, help='default 16')
    number('--second-runs', dest='second_run', default=8, help='default 8')
    number('--ranks', dest='rank', default=2, help='one of two ranks killed; default 2')
    number('--seed', default=0)
    with tempfile.TemporaryDirectory() as folder:
        found = run(Path(folder), **vars(parser.parse_args()))
    print(f'{"kind":12}{"trials":>8}{"violations":>12}')
    for kind, trials in found.items():
        print(f'{kind:12}{len(trials):8}{sum(map(len, trials)):12}')
    violations = [text for trials in found.values() for problems in trials for text in problems]
    print('\n'.join(violations), end='')
    return int(bool(violations))


if __name__ == '__main__':
    sys.exit(main())
