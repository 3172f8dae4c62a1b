"""Scripts and workers in processes of their own that start in no time.

A new Python spends seconds with importing torch and MMAction2. Here a server imports them once,
computes nothing, and every process is a fork of it. Tests of installation and of start-up itself
start Python anew.
"""
import faulthandler
import multiprocessing
import os
import runpy
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
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
    argv = [str(ROOT / script), *map(str, args)]
    with TemporaryDirectory() as folder:
        outputs = [Path(folder, name) for name in ('stdout', 'stderr')]
        process = _CONTEXT.Process(target=_run, args=(
            argv, {**os.environ, 'PYTHON': sys.executable, **(env or {})}, str(cwd),
            [str(path) for path in outputs]))
        process.start()
        process.join(limit)
        if process.is_alive():
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(argv, limit, *(path.read_bytes() for path in outputs))
        return subprocess.CompletedProcess(argv, process.exitcode,
                                           *(path.read_text() for path in outputs))


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
