"""Processes that read videos, one each, so that a file that crashes or hangs one harms no other."""
import contextlib
import multiprocessing
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple, Optional

from mmc2v.video import VideoDecodeError
from mmc2v.video.reader import first_line

from .frames import ClipFrames, Damage, digest_of

CONTEXT = multiprocessing.get_context('forkserver')
CONTEXT.set_forkserver_preload(['mmc2v', 'mmaction.datasets', __name__])
# Seconds without a sign after which a worker hangs, and bytes a second of the file that it may take
# longer for: its packets are read before the first frame comes, some formats are decoded.
_PATIENCE, _SLOWEST = 60.0, 2e6
# Seconds in which a process has to begin, with its imports.
_STARTUP = 300.0
# Bytes of memory for reading one video, beside what the process has when it starts.
_MEMORY = 3 * 2 ** 30


# Signals that a process earns by what it does.
_CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT,
            signal.SIGSYS)


class Failed(NamedTuple):
    """A file could not be read.

    Attributes:
        reason (str): Why.
        passing (bool): It may be another time without the file having changed, as where it is
            allowed to be read.
    """

    reason: str
    passing: bool = False


class _Job(NamedTuple):
    path: str
    size: int


@contextlib.contextmanager
def main_module_hidden() -> Iterator[None]:
    """Start processes without the user's script, which each would run again from its top."""
    main = sys.modules['__main__']
    hidden = {name: vars(main).pop(name) for name in ('__file__', '__spec__') if name in vars(main)}
    main.__spec__ = None
    try:
        yield
    finally:
        vars(main).update(hidden)


class _Worker:
    """One process and the pipe to it."""

    def __init__(self, settings: tuple) -> None:
        self.pipe, theirs = CONTEXT.Pipe()
        self.process = CONTEXT.Process(target=_serve, args=(theirs, *settings), daemon=True)
        with main_module_hidden():
            self.process.start()
        theirs.close()
        self.job: Optional[_Job] = None
        self.is_ready = False
        self.deadline = float('inf')

    def begin(self, job: _Job) -> None:
        self.job = job
        self.feel()
        self.pipe.send(job.path)

    def feel(self) -> None:
        """Give it time, after a sign of life."""
        self.deadline = time.monotonic() + (
            _PATIENCE + self.job.size / _SLOWEST if self.is_ready else _STARTUP)

    def end(self) -> Optional[int]:
        """End it now; return its exit code."""
        self.process.kill()
        self.process.join()
        self.pipe.close()
        return self.process.exitcode


class VideoWorkers:
    """A number of processes; a context that ends them.

    Args:
        number (int): How many.
        pipeline (Sequence[dict]): See :class:`ClipFrames`, as are the others.
        length (float): Seconds.
        stride (float): Seconds.
    """

    def __init__(self, number: int, pipeline: Sequence[dict], length: float,
                 stride: float) -> None:
        self._settings = (list(pipeline), length, stride)
        self._workers = [_Worker(self._settings) for _ in range(number)]

    def __enter__(self) -> 'VideoWorkers':
        return self

    def __exit__(self, *error: Any) -> None:
        for worker in self._workers:
            worker.end()

    @property
    def idle(self) -> int:
        """How many have nothing to do."""
        return sum(worker.job is None for worker in self._workers)

    @property
    def busy(self) -> int:
        """How many read a file."""
        return len(self._workers) - self.idle

    def begin(self, path: str, size: int) -> None:
        """Let one that is idle read a file: first its digest, then it waits for :meth:`decide`."""
        next(worker for worker in self._workers if worker.job is None).begin(_Job(path, size))

    def decide(self, path: str, go_on: bool) -> None:
        """Say whether a file, of which the digest has come, is decoded."""
        worker = next(worker for worker in self._workers if worker.job and worker.job.path == path)
        worker.feel()
        worker.pipe.send(go_on)
        if not go_on:
            worker.job = None

    def messages(self) -> Iterator[tuple[str, Any]]:
        """Wait for something, and yield it.

        Yields:
            tuple: Path of the file; its digest (bytes), what :meth:`ClipFrames.read` yields, or
            Failed. After Damage and Failed nothing more comes of it.
        """
        busy = {worker.pipe: worker for worker in self._workers if worker.job is not None}
        ready = wait(busy, max(0.0, min((worker.deadline for worker in busy.values()),
                                        default=0.0) - time.monotonic()))
        for pipe in ready:
            received = self._receive(busy[pipe])
            if received is not None:
                yield received
        for number, worker in enumerate(self._workers):
            if worker.job is not None and time.monotonic() > worker.deadline:
                path, reason = worker.job.path, 'it takes too long: no sign of life for ' + \
                    f'{_PATIENCE + worker.job.size / _SLOWEST:.0f} s'
                worker.end()
                self._workers[number] = _Worker(self._settings)
                yield path, Failed(reason)

    def _receive(self, worker: _Worker) -> Optional[tuple[str, Any]]:
        """Return what :meth:`messages` yields; None where a process says that it has begun."""
        path = worker.job.path
        try:
            message = worker.pipe.recv()
        except (EOFError, OSError):
            code = worker.end()
            self._workers[self._workers.index(worker)] = _Worker(self._settings)
            return path, _death(code)
        is_first, worker.is_ready = not worker.is_ready, True
        worker.feel()
        if is_first:
            return None
        if isinstance(message, (Damage, Failed)):
            worker.job = None
        return path, message


def _death(code: Optional[int]) -> Failed:
    """Say how a process ended."""
    if code is None or code >= 0:
        return Failed(f'the process that read it ended with code {code}')
    name = signal.Signals(-code).name
    how = f'the process that read it was ended by {name}'
    if -code in _CRASHES:
        return Failed(f'{how}: its decoder crashes')
    # by somebody, or as where the memory of the machine runs out
    return Failed(f'{how}; the next run tries again', passing=True)


def _serve(pipe: Connection, pipeline: list[dict], length: float, stride: float) -> None:
    """Read files until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal: the main process ends it all
    import torch
    torch.set_num_threads(1)
    source = ClipFrames(pipeline, length, stride)
    limit_memory()
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        pipe.send('ready')
        while True:
            path = pipe.recv()
            try:
                pipe.send(digest_of(path))
                if pipe.recv():
                    for message in source.read(path):
                        pipe.send(message)
            except (EOFError, BrokenPipeError, ConnectionResetError):
                raise
            except VideoDecodeError as error:
                pipe.send(Failed(error.reason))
            except OSError as error:
                pipe.send(Failed(first_line(error), passing=True))
            except (Exception, MemoryError) as error:
                pipe.send(Failed(first_line(error)))


def limit_memory() -> None:
    """Let a file take no more memory than it may; it fails then, or this process does."""
    with contextlib.suppress(OSError, ValueError):  # where the system cannot
        with open('/proc/self/statm') as file:
            size = int(file.read().split()[0]) * os.sysconf('SC_PAGE_SIZE')
        resource.setrlimit(resource.RLIMIT_AS, (size + _MEMORY, size + _MEMORY))
