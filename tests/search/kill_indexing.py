"""Kill indexing at random moments, go on, and compare with an index that nobody disturbed.

    python -m tests.search.kill_indexing [--kills 60]

A run that is killed is begun again, up to six times, and then run to its end; then every row and
every bit of a vector has to be that of the undisturbed index, and verify finds nothing. After that
the index is made anew, with kills as well: it has to be whole at every moment.
"""
import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from multiprocessing import forkserver
from pathlib import Path

from tqdm import tqdm

from mmc2v.search.store import IndexStore
from mmc2v.search.verify import problems_of
from mmc2v.search.writing import rebuilding

from ..tiny import random_video
from ..tools.disturbed_runs import has_ended, wait_until
from .common import open_search, rows, write_model

_LIMIT = 120  # seconds after which a run hangs
_SERVER_ENDS = 2  # seconds in which the server of processes has ended, if it does


def _wait_for_end(pid: int, seconds: float) -> bool:
    """Wait for a process at most so long; return whether it has ended."""
    return wait_until(lambda: has_ended(pid), seconds)


def _exit_code(pid: int) -> int:
    """Wait for a process; return its exit code, 99 for one that hangs."""
    if not _wait_for_end(pid, _LIMIT):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        return 99
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


class Trials:
    """Indexes a folder again and again, in forks of this process, which has the model.

    Args:
        folder (Path): For videos and indexes.
        rng (random.Random): Chooses moments.
        num_videos (int): Videos to index.
    """

    def __init__(self, folder: Path, rng: random.Random, num_videos: int = 30) -> None:
        self.folder, self.rng, self.count = folder, rng, 0
        write_model(folder)
        (folder / 'videos').mkdir()
        for number in range(num_videos):
            random_video(folder / 'videos' / f'{number}.mp4', num_frames=rng.randint(1, 60),
                         seed=number)
        (folder / 'videos' / 'copy.mp4').write_bytes((folder / 'videos' / '3.mp4').read_bytes())
        (folder / 'videos' / 'broken.mp4').write_bytes(b'no video')
        for path in (folder / 'videos').iterdir():
            os.utime(path, (1e9, 1e9))
        self.seconds = self._undisturbed()

    def _undisturbed(self) -> float:
        with open_search(self.folder, 'reference.index') as search:
            search.add(self.folder / 'videos', workers=2)  # starts the server of processes
            self.reference = rows(search.store)
            (self.folder / 'reference.index').unlink()
            search.close()
            start = time.monotonic()
            search._known = {}
            search.add(self.folder / 'videos', workers=2)
            self.model = search._model
            return time.monotonic() - start

    def _start(self, index: str, anew: bool = False) -> int:
        """Index in a fork, or make an index anew; return the process id."""
        forkserver.ensure_running()
        pid = os.fork()
        if pid:
            return pid
        code = 1
        try:
            # the server of processes is the parent's child and not ours
            wait, server = os.waitpid, forkserver._forkserver._forkserver_pid
            os.waitpid = lambda pid, options: (0, 0) if pid == server else wait(pid, options)
            with (rebuilding(str(self.folder / index)) if anew else nullcontext(index)) as name, \
                    open_search(self.folder, os.path.basename(name)) as search:
                search._model = self.model
                search.add(self.folder / 'videos', workers=2)
            code = 0
        finally:
            os._exit(code)

    def index_with_kills(self, kills: int) -> tuple[int, list[str]]:
        """Index with at most so many kills; return their number and what was violated."""
        self.count += 1
        name, done = f'{self.count}.index', 0
        while done < kills:
            code = self._kill_once(name)
            if code == 0:
                break
            done += code == -signal.SIGKILL
            if code not in (0, -signal.SIGKILL):
                return done, [f'{name}: a run ended by {code}']
        return done, self._compare(name)

    def rebuild_with_kills(self, kills: int) -> tuple[int, list[str]]:
        """Make a whole index anew with at most so many kills: it is whole at every moment."""
        name, done = f'{self.count}.index', 0
        while done < kills:
            code = self._kill_once(name, anew=True)
            if code not in (0, -signal.SIGKILL):
                return done, [f'{name}: a run ended by {code}']
            done += code == -signal.SIGKILL
            problems = self._problems(name)
            if code == 0 or problems:
                return done, problems
        return done, []

    def _outcome(self, act: Callable[[], int]) -> int:
        """Return the exit code of a run that had a server of processes.

        Runs share one here, and Python's ends with a client that is killed while it hands over a
        pipe.
        """
        while True:
            code = act()
            if code in (0, -signal.SIGKILL) or not _wait_for_end(
                    forkserver._forkserver._forkserver_pid, _SERVER_ENDS):
                return code

    def _kill_once(self, name: str, anew: bool = False) -> int:
        """Kill a run at a random moment; return its exit code, as it may have ended before."""
        return self._outcome(lambda: self._kill(name, anew))

    def _kill(self, name: str, anew: bool) -> int:
        pid, begun = self._start(name, anew), time.monotonic()
        _wait_for_end(pid, self.rng.uniform(0, self.seconds))
        seconds = time.monotonic() - begun
        os.kill(pid, signal.SIGKILL)  # without effect on one that has ended
        code = _exit_code(pid)
        if code == 0:  # the next moments are of what a run takes at the speed of now
            self.seconds = min(self.seconds, seconds)
        return code

    def _compare(self, name: str) -> list[str]:
        code = self._outcome(lambda: _exit_code(self._start(name)))
        return [f'{name}: the last run ended by {code}'] if code else self._problems(name)

    def _problems(self, name: str) -> list[str]:
        store = IndexStore(self.folder / name)
        found = rows(store)
        problems = [f'{name}: {path} differs' for path in sorted({*found, *self.reference})
                    if found.get(path) != self.reference.get(path)]
        return problems + [f'{name}: {problem}' for problem in problems_of(store)]


def run(folder: Path, kills: int, seed: int = 0, num_videos: int = 30) -> tuple[int, list[str]]:
    """Kill so many times; return how many indexes that made, and what was violated."""
    trials, violations, done = Trials(folder, random.Random(seed), num_videos), [], 0
    with tqdm(total=kills, desc='kills', mininterval=1, disable=None) as progress:
        while done < kills:
            for trial in (trials.index_with_kills, trials.rebuild_with_kills):
                count, found = trial(min(6, kills - done))
                done += count
                violations += found
                progress.update(count)
    return trials.count, violations


def main() -> None:
    """Print what was violated; the exit code is 1 if anything was."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--kills', type=int, default=60, help='default 60')
    parser.add_argument('--seed', type=int, default=0, help='of the moments; default 0')
    args = parser.parse_args()
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        indexes, violations = run(Path(folder), args.kills, args.seed)
    print('\n'.join([*violations, f'{args.kills} kills over {indexes} indexes: {len(violations)} '
                     f'violations, {time.monotonic() - start:.0f} s']))
    sys.exit(bool(violations))


if __name__ == '__main__':
    main()
