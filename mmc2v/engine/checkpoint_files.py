"""Checkpoint files that are whole or absent, and how a job's nodes come to the same one."""
import hashlib
import os
import re
from pathlib import Path
from typing import Optional, Union

import torch
import torch.distributed as dist
from mmengine.dist import (
    all_gather_object,
    broadcast,
    broadcast_object_list,
    is_distributed,
    is_main_process,
)
from mmengine.fileio import register_backend
from mmengine.fileio.backends import LocalBackend
from mmengine.logging import print_log

PARTIAL = '.partial'
_CHUNK_BYTES = 64 * 2 ** 20
_NAME = re.compile(r'(?:epoch|iter)_(\d+)\.pth')


def write_whole(path: Union[str, Path], content: bytes) -> None:
    """Write a file so that under its name there is the old content or the new, at any moment.

    Args:
        path (str | Path): File; its folder is made.
        content (bytes): What it will hold.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + PARTIAL)
    with partial.open('wb') as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk, where the system can."""
    if hasattr(os, 'O_DIRECTORY'):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class WholeFileBackend(LocalBackend):
    """Local files that are written whole and removed when :meth:`remove_now` is called.

    MMEngine's CheckpointHook removes old checkpoints before the new one is written.
    """

    def __init__(self) -> None:
        super().__init__()
        self._outdated: list[str] = []

    def put(self, obj: bytes, filepath: Union[str, Path]) -> None:
        """Write bytes; see :func:`write_whole`."""
        write_whole(filepath, obj)

    def put_text(self, obj: str, filepath: Union[str, Path], encoding: str = 'utf-8') -> None:
        """Write text likewise."""
        write_whole(filepath, obj.encode(encoding))

    def remove(self, filepath: Union[str, Path]) -> None:
        """Remove a file later."""
        self._outdated.append(str(filepath))

    def remove_now(self) -> None:
        """Remove what was to be removed."""
        for path in self._outdated:
            Path(path).unlink(missing_ok=True)
        self._outdated.clear()


register_backend('mmc2v_whole', WholeFileBackend, force=True)


def problem_of_checkpoint(path: str) -> Optional[str]:
    """Say why training cannot be resumed from a file.

    Args:
        path (str): Checkpoint.

    Returns:
        str, optional: The reason; none where it is whole.
    """
    if not os.path.isfile(path):
        return 'it does not exist'
    try:
        checkpoint = torch.load(path, map_location='cpu')
    except Exception as error:  # whatever the file consists of
        return f'it cannot be read ({(str(error).splitlines() or [type(error).__name__])[0]})'
    missing = {'state_dict', 'optimizer', 'meta', 'message_hub'} - set(checkpoint)
    return f'it has no {sorted(missing)}' if missing else None


def find_whole_checkpoint(work_dir: str) -> Optional[str]:
    """Find the checkpoint from which training goes on.

    Args:
        work_dir (str): Folder of a run.

    Returns:
        str, optional: The checkpoint that ``last_checkpoint`` names, or, where that is missing or
        unreadable, the newest whole one, which is logged. None if there is none at all.

    Raises:
        ValueError: If there are checkpoints, and none is whole.
    """
    folder, problems = Path(work_dir), {}
    pointer = folder / 'last_checkpoint'
    named = pointer.read_text(errors='replace').strip() if pointer.is_file() else ''
    steps = sorted(((int(match[1]), str(path)) for path in folder.glob('*.pth')
                    if (match := _NAME.fullmatch(path.name))), reverse=True)
    # a work dir that was moved holds the file under its own path
    in_folder = str(folder / Path(named).name)
    first = named if os.path.isfile(named) or not os.path.isfile(in_folder) else in_folder
    for path in dict.fromkeys([*([first] if named else []), *(path for _, path in steps)]):
        problem = problem_of_checkpoint(path)
        if problem is None:
            if problems or not named:
                why = ''.join(f"; '{bad}': {reason}" for bad, reason in problems.items())
                print_log(f"resuming from the newest whole checkpoint '{path}', not from what "
                          f"'{pointer}' names{why or '; it names none'}", logger='current',
                          level=30)
            return path
        problems[path] = problem
    if steps:
        raise ValueError(f"none of the checkpoints in '{work_dir}' is whole: {problems}. Restore "
                         'one of them, or give another work dir to start from the beginning')
    return None


def _digest(path: str) -> Optional[str]:
    if not os.path.isfile(path):
        return None
    digest = hashlib.blake2b()
    with open(path, 'rb') as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def share_checkpoint(path: str, work_dir: str) -> str:
    """Bring the main process's checkpoint to nodes that do not see it.

    Args:
        path (str): The file, as the main process names it.
        work_dir (str): This process's own work dir.

    Returns:
        str: The file, as this process finds it.
    """
    if not is_distributed():
        return path
    leads = is_main_process() or int(os.environ.get('LOCAL_RANK', 0)) == 0
    own = path if is_main_process() or os.path.isfile(path) else str(
        Path(work_dir, Path(path).name))
    digests = all_gather_object(_digest(own) if leads else None)
    receives = leads and digests[dist.get_rank()] != digests[0]
    if not any(all_gather_object(receives)):
        return own
    if receives:  # a file of that name and other content is of an earlier run
        own = str(Path(work_dir, Path(path).name))
        print_log(f"receiving '{own}' from the first node", logger='current')
    size = [os.path.getsize(path) if is_main_process() else 0]
    broadcast_object_list(size)
    parts: list[bytes] = []
    for start in range(0, size[0], _CHUNK_BYTES):
        length = min(_CHUNK_BYTES, size[0] - start)
        chunk = torch.zeros(length, dtype=torch.uint8)
        if is_main_process():
            with open(path, 'rb') as file:
                file.seek(start)
                chunk = torch.frombuffer(bytearray(file.read(length)), dtype=torch.uint8)
        broadcast(chunk)
        if receives:
            parts.append(chunk.numpy().tobytes())
    if receives:
        write_whole(own, b''.join(parts))
    dist.barrier()
    return own if os.path.isfile(own) else str(Path(work_dir, Path(path).name))
