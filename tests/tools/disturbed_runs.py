"""Training runs in processes of their own, that can be disturbed, and what becomes of them."""
import faulthandler
import json
import os
import resource
import runpy
import secrets
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import torch

from ..tiny import ROOT

_LIMIT = 180  # seconds after which a run hangs


def wait_until(condition: Callable[[], object], seconds: float = _LIMIT) -> bool:
    """Wait until something holds; return False if it does not within so many seconds."""
    end = time.time() + seconds
    while not condition():
        if time.time() > end:
            return False
        time.sleep(0.001)
    return True


def has_ended(pid: int) -> bool:
    """Whether a child has; it stays a process until somebody asks for its exit code."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def outcome(work_dir: Path, epochs: int) -> dict:
    """What has to be the same: weights, optimizer, figures, and the files that are kept."""
    checkpoint = torch.load(work_dir / f'epoch_{epochs}.pth')
    return dict(state=checkpoint['state_dict'], optimizer=checkpoint['optimizer'],
                schedulers=checkpoint['param_schedulers'],
                figures=json.loads((work_dir / 'best_and_last.json').read_text()),
                validations=json.loads((work_dir / 'validations.json').read_text()),
                files=sorted(path.name for path in work_dir.glob('*.p*')))


def different(work_dir: Path, result: dict, reference: dict) -> list[str]:
    """Name what differs from the run that nobody disturbed."""
    return [f'{work_dir.name}: other {key}' for key in reference
            if not _same(result[key], reference[key])]


def _same(a, b) -> bool:
    """Compare nested values, tensors bit by bit."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(_same, a, b))
    return a == b


def _pipe() -> tuple[int, int]:
    """Return a pipe that reads what is there: a full disk concerns no pipe."""
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    return read_end, write_end


class ForkedRun:
    """tools/train.py --resume in a fork of this process, whose imports are done.

    Args:
        config (Path): Config.
        work_dir (Path): Work dir.
        *options (str): ``--cfg-options``.
        size (int, optional): Bytes beyond which no file of it grows.
    """

    def __init__(self, config: Path, work_dir: Path, *options: str, size: int | None = None):
        self._read_end, write_end = _pipe()
        self._status = None
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                os.dup2(write_end, 1)
                os.dup2(write_end, 2)
                sys.stdout, sys.stderr = (os.fdopen(number, 'w', buffering=1, closefd=False)
                                          for number in (1, 2))
                faulthandler.register(signal.SIGUSR1, all_threads=True)
                torch.set_num_threads(1)
                sys.argv = ['train.py', str(config), '--work-dir', str(work_dir), '--resume',
                            *(['--cfg-options', *options] if options else [])]
                sys.path.insert(0, str(ROOT / 'tools'))
                if size is not None:
                    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
                runpy.run_path(str(ROOT / 'tools' / 'train.py'), run_name='__main__')
                code = 0
            except SystemExit as error:  # as Python itself ends by it
                print(error.code, file=sys.stderr)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        os.close(write_end)

    def has_ended(self) -> bool:
        """Whether it has; it stays a process until :meth:`end`."""
        return has_ended(self.pid)

    def children(self) -> list[int]:
        """Return its processes: workers of loaders."""
        return [int(child) for child in
                Path(f'/proc/{self.pid}/task/{self.pid}/children').read_text().split()]

    def end(self) -> tuple[int, str]:
        """Wait for its end; return the exit code, negative for a signal, and the output."""
        hangs = not wait_until(self.has_ended)
        if hangs:
            for process in [self.pid, *self.children()]:
                os.kill(process, signal.SIGUSR1)  # it prints where it is
                time.sleep(0.5)
            os.kill(self.pid, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        try:
            output = os.read(self._read_end, 2 ** 16).decode(errors='replace')
        except BlockingIOError:  # workers of a killed run still hold the other end
            output = ''
        os.close(self._read_end)
        return (99, f'it hangs: {output}') if hangs else (code, output)


class LaunchedRun:
    """tools/dist_train.sh --resume on two ranks; arguments as of :class:`ForkedRun`."""

    def __init__(self, config: Path, work_dir: Path):
        with socket.socket() as free:
            free.bind(('127.0.0.1', 0))
            port = free.getsockname()[1]
        self._token = secrets.token_hex(8)
        self._launcher = subprocess.Popen(
            ['bash', ROOT / 'tools' / 'dist_train.sh', config, '2', '--work-dir', work_dir,
             '--resume'], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, 'PYTHON': sys.executable, 'OMP_NUM_THREADS': '1',
                 'PORT': str(port), 'KILL_TEST_TOKEN': self._token})

    def has_ended(self) -> bool:
        """Whether the launcher has."""
        return self._launcher.poll() is not None

    def members(self) -> dict[int, bytes]:
        """Return processes of this run with their environment."""
        found = {}
        for path in Path('/proc').glob('[0-9]*/environ'):
            try:
                environ = path.read_bytes()
            except OSError:  # it has ended
                continue
            if self._token.encode() in environ:
                found[int(path.parent.name)] = environ
        return found

    def ranks(self) -> list[int]:
        """Return the processes of ranks, without workers of their loaders."""
        return [pid for pid, environ in self.members().items() if b'\0LOCAL_RANK=' in environ]

    def end(self) -> tuple[int, str]:
        """Wait for the launcher's end; return its exit code and the output."""
        try:
            output = self._launcher.communicate(timeout=_LIMIT)[0]
        except subprocess.TimeoutExpired:
            for member in self.members():
                os.kill(member, signal.SIGKILL)
            return 99, 'it hangs'
        return self._launcher.returncode, output
