"""Scripts and workers in processes of their own that start in no time.

A new Python spends seconds with importing torch and MMAction2. Here a server imports them once,
computes nothing, and every process is a fork of it. Tests of installation and of start-up itself
start Python anew.
"""
import faulthandler
import multiprocessing
import os
import runpy
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Optional

import torch
import torch.multiprocessing as mp

from .tiny import ROOT

_CONTEXT = multiprocessing.get_context('forkserver')
_CONTEXT.set_forkserver_preload(
    ['mmc2v', 'mmaction.datasets', 'mmaction.models', 'matplotlib.pyplot', 'tests.tiny'])


def run_script(script: Any, *args: Any, env: Optional[Mapping[str, str]] = None, cwd: Any = ROOT,
               limit: float = 300) -> subprocess.CompletedProcess:
    """Run a Python script as ``python script args`` would, with one thread.

    Args:
        script (str | Path): Relative to the project's root, or absolute.
        *args: Of its command line.
        env (Mapping[str, str], optional): Added to this process's environment.
        cwd (str | Path): Folder that it runs in. Defaults to the project's root.
        limit (float): Seconds after which it is killed. Defaults to 300.

    Returns:
        subprocess.CompletedProcess: With return code and text of both outputs.

    Raises:
        subprocess.TimeoutExpired: If it was killed.
    """
    with _Started(script, args, env or {}, cwd) as started:
        return started.finish(limit)


def run_script_on_ranks(script: Any, *args: Any, cwds: Sequence[Any], limit: float = 300
                        ) -> list[subprocess.CompletedProcess]:
    """Run a script as torchrun would start it, by one rank in each folder of cwds.

    Args:
        script (str | Path): As of run_script.
        *args: Of every rank's command line.
        cwds (Sequence[str | Path]): The folder that each rank runs in: one each for nodes that
            share nothing.
        limit (float): Seconds after which a rank is killed. Defaults to 300.

    Returns:
        list[subprocess.CompletedProcess]: What run_script returns, of each rank.
    """
    shared = {'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': free_port(), 'WORLD_SIZE': str(len(cwds)),
              'LOCAL_RANK': '0'}
    with ExitStack() as stack:
        ranks = [stack.enter_context(_Started(script, (*args, '--launcher', 'pytorch'),
                                              {**shared, 'RANK': str(rank)}, cwd))
                 for rank, cwd in enumerate(cwds)]
        return [rank.finish(limit) for rank in ranks]


def free_port() -> str:
    """Return a port of this machine on which nothing listens."""
    with socket.socket() as server:
        server.bind(('127.0.0.1', 0))
        return str(server.getsockname()[1])


class _Started:
    """A script that runs in a fork of the server; killed when left."""

    def __init__(self, script: Any, args: Sequence[Any], env: Mapping[str, str], cwd: Any) -> None:
        self._argv = [str(ROOT / script), *map(str, args)]
        self._folder = TemporaryDirectory()
        self._outputs = [Path(self._folder.name, name) for name in ('stdout', 'stderr')]
        self._process = _CONTEXT.Process(target=_run, args=(
            self._argv, {**os.environ, 'PYTHON': sys.executable, **env}, str(cwd),
            [str(path) for path in self._outputs]))
        self._process.start()

    def __enter__(self) -> '_Started':
        return self

    def finish(self, limit: float) -> subprocess.CompletedProcess:
        self._process.join(limit)
        if self._process.is_alive():
            raise subprocess.TimeoutExpired(self._argv, limit,
                                            *(path.read_bytes() for path in self._outputs))
        return subprocess.CompletedProcess(self._argv, self._process.exitcode,
                                           *(path.read_text() for path in self._outputs))

    def __exit__(self, *error: Any) -> None:
        self._process.kill()
        self._process.join()
        self._folder.cleanup()


def _run(argv: list[str], env: dict[str, str], cwd: str, outputs: Sequence[str]) -> None:
    for descriptor, path in enumerate(outputs, 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), descriptor)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    sys.path.insert(0, os.path.dirname(argv[0]))
    sys.argv = argv
    torch.set_num_threads(1)
    runpy.run_path(argv[0], run_name='__main__')


def run_ranks(worker: Callable, world_size: int, *args: Any, limit: float = 300) -> None:
    """Run worker(rank, world_size, *args) in processes; one that hangs says where, and fails."""
    mp.start_processes(_watched, (limit, worker, world_size, *args), world_size,
                       start_method='forkserver')


def _watched(rank: int, limit: float, worker: Callable, *args: Any) -> None:
    faulthandler.dump_traceback_later(limit, exit=True)
    torch.set_num_threads(1)
    worker(rank, *args)
    faulthandler.cancel_dump_traceback_later()
