"""Processes that do one job each with what strangers made, with limits of time and memory."""
import asyncio
import contextlib
import json
import os
import resource
import signal
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle, send_handle
from typing import Any, Optional

import anyio.to_thread

from mmc2v.video import VideoDecodeError
from mmc2v.video.reader import first_line

from ..workers import CONTEXT, limit_memory, main_module_hidden
from .errors import busy
from .media import JOBS

# Jobs after which a process is replaced, so that what libraries do not give back is given back.
_JOBS_OF_A_PROCESS = 200
# Bytes of a file that a process may write, and seconds in which it has to begin.
_FILE_BYTES, _STARTUP = 2 ** 28, 120.0
# Seconds after which a process ends itself that the server should have ended.
_GRACE = 5.0


class JobError(Exception):
    """A job could not be done; says why."""


class _Process:
    """One process and the pipe to it."""

    def __init__(self) -> None:
        self._pipe, theirs = CONTEXT.Pipe()
        self._process = CONTEXT.Process(target=_serve, args=(theirs,), daemon=True)
        with main_module_hidden():
            self._process.start()
        theirs.close()
        self._is_ready = False
        self.jobs = 0

    def call(self, name: str, arguments: tuple, seconds: float, file: Optional[int]
             ) -> tuple[dict[str, Any], bytes]:
        """Do a job.

        What comes back is read as JSON and bytes: it is from a process that reads hostile files.

        Raises:
            JobError: If it could not be done.
            TimeoutError: If it took too long.
            EOFError: If the process has ended.
        """
        self.jobs += 1
        if not self._is_ready:
            self._receive(_STARTUP)
            self._is_ready = True
        self._pipe.send_bytes(json.dumps([name, seconds, file is not None, *arguments]).encode())
        if file is not None:
            send_handle(self._pipe, file, self._process.pid)
        answer = json.loads(self._receive(seconds))
        payload = self._receive(seconds)
        if 'error' in answer:
            raise JobError(str(answer['error'])[:500])
        return answer, payload

    def _receive(self, seconds: float) -> bytes:
        if not self._pipe.poll(seconds):
            raise TimeoutError
        return self._pipe.recv_bytes(_FILE_BYTES)

    def end(self) -> None:
        """End it now."""
        self._process.kill()
        self._process.join()
        self._pipe.close()


class MediaProcesses:
    """A number of processes, each started when it is first needed.

    Args:
        number (int): How many.
        waiting (int): Jobs that may wait for one.
    """

    def __init__(self, number: int, waiting: int) -> None:
        self._idle: asyncio.LifoQueue[Optional[_Process]] = asyncio.LifoQueue()
        for _ in range(number):
            self._idle.put_nowait(None)
        self._threads = anyio.CapacityLimiter(number)
        self._most, self._waiting = waiting, 0
        self._alive: set[_Process] = set()
        self._closed = False

    async def start(self) -> None:
        """Start the first process before it is needed."""
        with contextlib.suppress(JobError):
            await self.run('begin', seconds=_STARTUP)

    async def run(self, name: str, *arguments: Any, seconds: float, file: Optional[int] = None
                  ) -> tuple[dict[str, Any], bytes]:
        """Do a job of :mod:`~mmc2v.search.web.media`.

        Args:
            name (str): Of the job.
            *arguments (Any): As JSON has them.
            seconds (float): That it may take.
            file (int, optional): Descriptor of the file that it reads, its first argument: a path
                could lead elsewhere by now.

        Returns:
            tuple: What the job returns.

        Raises:
            JobError: If it cannot be done.
            RefusedError: If too many wait.
        """
        if self._waiting >= self._most:
            raise busy('the server makes many pictures and moments at present')
        self._waiting += 1
        try:
            process = await self._idle.get()
        finally:
            self._waiting -= 1
        try:
            answer, process = await anyio.to_thread.run_sync(
                self._call, process, name, arguments, seconds, file, limiter=self._threads)
        finally:  # one that has ended is started anew when it is needed
            self._idle.put_nowait(process if process in self._alive else None)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _call(self, process: Optional[_Process], name: str, arguments: tuple, seconds: float,
              file: Optional[int]) -> tuple[Any, Optional[_Process]]:
        """Do a job in a thread; return what came of it, and the process."""
        if self._closed:
            return JobError('the server ends'), None
        if process is None:
            process = _Process()
            self._alive.add(process)
        try:
            answer: Any = process.call(name, arguments, seconds, file)
        except JobError as error:
            answer = error
        except TimeoutError:
            answer = JobError(f'it takes longer than {seconds:.0f} s')
            self._end(process)
        except (EOFError, OSError, ValueError):
            answer = JobError('it crashes the process that reads it, or takes too much memory')
            self._end(process)
        if process.jobs >= _JOBS_OF_A_PROCESS:
            self._end(process)
        return answer, process

    def _end(self, process: _Process) -> None:
        if process in self._alive:
            self._alive.discard(process)
            process.end()

    def close(self) -> None:
        """End all of them."""
        self._closed = True
        for process in list(self._alive):
            self._end(process)


def _serve(pipe: Connection) -> None:
    """Do jobs until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal: the main process ends it all
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    import torch
    torch.set_num_threads(1)
    with contextlib.suppress(OSError):
        os.nice(5)  # questions are answered first
    limit_memory()
    resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE_BYTES, _FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # an error of writing
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        pipe.send_bytes(b'ready')
        while True:
            name, seconds, has_file, *arguments = json.loads(pipe.recv_bytes())
            # should the server be killed meanwhile, nobody else ends a job that hangs
            signal.setitimer(signal.ITIMER_REAL, seconds + _GRACE)
            if has_file:
                descriptor = recv_handle(pipe)
                answer, payload = _done(name, [f'/dev/fd/{descriptor}', *arguments])
                os.close(descriptor)
            else:
                answer, payload = _done(name, arguments)
            signal.setitimer(signal.ITIMER_REAL, 0)
            pipe.send_bytes(json.dumps(answer).encode())
            pipe.send_bytes(payload)


def _done(name: str, arguments: list) -> tuple[dict[str, Any], bytes]:
    """Do a job; return what comes of it, be it what is wrong."""
    try:
        return JOBS[name](*arguments)
    except VideoDecodeError as error:
        return dict(error=error.reason or 'it cannot be decoded'), b''
    except (Exception, MemoryError) as error:
        return dict(error=first_line(error) or type(error).__name__), b''
