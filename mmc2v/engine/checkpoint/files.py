"""Checkpoint files that are whole or absent, and which of them training goes on from."""
import os
from pathlib import Path
from typing import Optional, Union

from mmengine.fileio import register_backend
from mmengine.fileio.backends import LocalBackend
from mmengine.logging import print_log

from mmc2v.checkpoint_reading import read_checkpoint_file
from mmc2v.first_line import first_line_of
from mmc2v.whole_files import write_whole

from .names import numbered_names


class WholeFileBackend(LocalBackend):
    """Local files that are written whole and removed when :meth:`remove_now` is called.

    MMEngine's CheckpointHook removes old checkpoints before the new one is written.
    """

    def __init__(self) -> None:
        super().__init__()
        self.outdated: list[str] = []  # what :meth:`remove_now` will remove

    def put(self, obj: bytes, filepath: Union[str, Path]) -> None:
        """Write bytes; see :func:`mmc2v.whole_files.write_whole`."""
        write_whole(filepath, obj)

    def put_text(self, obj: str, filepath: Union[str, Path], encoding: str = 'utf-8') -> None:
        """Write text likewise."""
        write_whole(filepath, obj.encode(encoding))

    def remove(self, filepath: Union[str, Path]) -> None:
        """Remove a file later."""
        self.outdated.append(str(filepath))

    def keep(self, filepath: Union[str, Path, None]) -> None:
        """Do not remove a file after all."""
        self.outdated = [path for path in self.outdated if path != str(filepath)]

    def remove_now(self) -> None:
        """Remove what was to be removed."""
        for path in self.outdated:
            Path(path).unlink(missing_ok=True)
        self.outdated.clear()


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
    try:
        checkpoint = read_checkpoint_file(path, map_location='cpu', mmap=True)
        needed = {'state_dict', 'meta', 'message_hub', *['optimizer'][:needs_optimizer]}
        missing = sorted(needed - set(checkpoint))
    except Exception as error:  # whatever the file consists of
        return f'it cannot be read ({first_line_of(error)})'
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
        str, optional: The checkpoint of that folder that ``last_checkpoint`` names, or, where that
        is missing or unreadable, the newest whole one, which is logged. None if there is none.

    Raises:
        ValueError: If there are or were checkpoints, and none is whole.
    """
    problems: dict[str, str] = {}
    pointer, found = Path(work_dir, 'last_checkpoint'), Path(folder or work_dir)
    # the name alone: the folder is the original's where a work dir is a copy or was moved
    named = Path(pointer.read_text(errors='replace').strip()).name if pointer.is_file() else ''
    steps = sorted(((int(match[1]), str(path)) for path in found.glob('*')
                    if (match := numbered_names(template).fullmatch(path.name))), reverse=True)
    for path in dict.fromkeys([*([str(found / named)] if named else []),
                               *(path for _, path in steps)]):
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
