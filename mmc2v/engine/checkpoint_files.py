"""Checkpoint files that are whole or absent, and which of them training goes on from."""
import os
import re
import zipfile
from pathlib import Path
from typing import Optional, Union

import torch
from mmengine.fileio import register_backend
from mmengine.fileio.backends import LocalBackend
from mmengine.logging import print_log

PARTIAL = '.partial'


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

    @property
    def outdated(self) -> list[str]:
        """Files that :meth:`remove_now` will remove."""
        return list(self._outdated)

    def keep(self, filepath: Union[str, Path, None]) -> None:
        """Do not remove a file after all."""
        self._outdated = [path for path in self._outdated if path != str(filepath)]

    def remove_now(self) -> None:
        """Remove what was to be removed."""
        for path in self._outdated:
            Path(path).unlink(missing_ok=True)
        self._outdated.clear()


register_backend('mmc2v_whole', WholeFileBackend, force=True)


def problem_of_checkpoint(path: str, needs_optimizer: bool = True) -> Optional[str]:
    """Say why training cannot be resumed from a file.

    Args:
        path (str): Checkpoint.
        needs_optimizer (bool): Whether it must hold the optimizer's state.

    Returns:
        str, optional: The reason; none where it is whole.
    """
    if not os.path.isfile(path):
        return 'it does not exist'
    damaged = None
    try:
        is_archive = zipfile.is_zipfile(path)
        checkpoint = torch.load(path, map_location='cpu', mmap=is_archive)
        if is_archive:
            with zipfile.ZipFile(path) as archive:
                damaged = archive.testzip()  # torch does not compare checksums
        needed = {'state_dict', 'meta', 'message_hub', *['optimizer'][:needs_optimizer]}
        missing = sorted(needed - set(checkpoint))
    except Exception as error:  # whatever the file consists of
        return f'it cannot be read ({(str(error).splitlines() or [type(error).__name__])[0]})'
    if damaged:
        return f'it cannot be read (the checksum of its part {damaged} differs)'
    return f'it has no {missing}' if missing else None


def find_whole_checkpoint(work_dir: str, folder: Optional[str] = None,
                          template: str = 'epoch_{}.pth',
                          needs_optimizer: bool = True) -> Optional[str]:
    """Find the checkpoint from which training goes on.

    Args:
        work_dir (str): Folder of a run, with ``last_checkpoint``.
        folder (str, optional): Where its checkpoints are. Defaults to ``work_dir``.
        template (str): Their names, with {} for the number.
        needs_optimizer (bool): See :func:`problem_of_checkpoint`.

    Returns:
        str, optional: The checkpoint that ``last_checkpoint`` names, or, where that is missing or
        unreadable, the newest whole one, which is logged. None if there is none at all.

    Raises:
        ValueError: If there are or were checkpoints, and none is whole.
    """
    problems: dict[str, str] = {}
    pointer, found = Path(work_dir, 'last_checkpoint'), Path(folder or work_dir)
    named = pointer.read_text(errors='replace').strip() if pointer.is_file() else ''
    pattern = re.compile(re.escape(template).replace(r'\{\}', r'(\d+)'))
    steps = sorted(((int(match[1]), str(path)) for path in found.glob('*')
                    if (match := pattern.fullmatch(path.name))), reverse=True)
    # a work dir that was moved holds the file under its own path
    in_folder = str(found / Path(named).name)
    first = named if os.path.isfile(named) or not os.path.isfile(in_folder) else in_folder
    for path in dict.fromkeys([*([first] if named else []), *(path for _, path in steps)]):
        problem = problem_of_checkpoint(path, needs_optimizer)
        if problem is None:
            if problems or not named:
                why = ''.join(f"; '{bad}': {reason}" for bad, reason in problems.items())
                print_log(f"resuming from the newest whole checkpoint '{path}', not from what "
                          f"'{pointer}' names{why or '; it names none'}", logger='current',
                          level=30)
            return path
        problems[path] = problem
    if problems:
        raise ValueError(f"none of the checkpoints in '{work_dir}' is whole: {problems}. Restore "
                         'one of them, or give another work dir to start from the beginning')
    return None
