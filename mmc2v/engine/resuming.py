"""Chooses the checkpoint that training resumes from, and gives it to nodes that lack it."""
import hashlib
import os
import os.path as osp
import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Optional

import torch
from mmengine.dist import (
    all_gather_object,
    broadcast,
    broadcast_object_list,
    get_world_size,
    is_main_process,
)

RESUMABLE = ('meta', 'state_dict', 'message_hub', 'optimizer')
CHUNK = 1 << 24  # bytes that are read, and sent to other nodes, at once


def require_whole(path: str, keys: Sequence[str] = RESUMABLE, deep: bool = True) -> int:
    """Check that training can resume from a file.

    Args:
        path (str): A local checkpoint.
        keys (Sequence[str]): What it must contain.
        deep (bool): Whether to compare all its bytes with their checksums, and not only to read
            its structure, which a file that was cut off does not have.

    Returns:
        int: The iteration at which it was saved.

    Raises:
        ValueError: If it cannot be read or lacks something; says what.
    """
    if not osp.isfile(path):
        raise ValueError(f"there is no file '{path}'")
    try:
        is_archive = zipfile.is_zipfile(path)
        checkpoint = torch.load(path, map_location='cpu', mmap=is_archive)
        missing = [key for key in keys if key not in checkpoint]
        step = checkpoint['meta']['iter'] if not missing else None
        if is_archive and deep:  # torch itself does not compare checksums
            with zipfile.ZipFile(path) as archive:
                damaged = archive.testzip()
        else:
            damaged = None
    except Exception as error:  # noqa: BLE001  (damage makes readers raise whatever they like)
        reason = (str(error).strip() or 'no message').splitlines()[0]
        raise ValueError(f"'{path}' is not a whole checkpoint: {type(error).__name__}: "
                         f'{reason}') from error
    if missing:
        raise ValueError(f"'{path}' cannot be resumed from, it has no {missing}")
    if damaged:
        raise ValueError(f"'{path}' is damaged: the checksum of '{damaged}' differs")
    return step


def find_whole_checkpoint(
        work_dir: str, folder: Optional[str] = None, template: str = 'epoch_{}.pth',
        keys: Sequence[str] = RESUMABLE) -> tuple[Optional[str], Optional[str]]:
    """Find what to resume from: the named checkpoint, or the newest whole one.

    Args:
        work_dir (str): Folder with the file ``last_checkpoint``.
        folder (str, optional): Where checkpoints are. Defaults to ``work_dir``.
        template (str): Their names, with {} for the number.
        keys (Sequence[str]): What a checkpoint must contain.

    Returns:
        tuple[Optional[str], Optional[str]]: The path, and a warning where it is another than the
        one that ``last_checkpoint`` names; None without either.

    Raises:
        ValueError: If there are checkpoints, but not one is whole.
    """
    reasons = []
    named = Path(work_dir, 'last_checkpoint')
    path = named.read_text(errors='replace').strip() if named.is_file() else None
    if path and '://' in path:
        return path, None  # in a store that is not for us to look into
    try:
        if path:
            require_whole(path, keys)
            return path, None
        reasons.append(f"'{named}' is empty" if path == '' else f"there is no '{named}'")
    except ValueError as error:
        reasons.append(f"'{named}' names '{path}', but {error}")
    pattern = re.compile(re.escape(template).replace(r'\{\}', r'\d+'))
    found = [str(file) for file in sorted(Path(folder or work_dir).glob('*'))
             if pattern.fullmatch(file.name)]
    steps = {}
    for file in found:
        try:
            steps[file] = require_whole(file, keys, deep=False)
        except ValueError as error:
            reasons.append(str(error))
    for file in sorted(steps, key=steps.get, reverse=True):
        try:
            require_whole(file, keys)
        except ValueError as error:
            reasons.append(str(error))
        else:
            return file, (f"resuming from '{file}', the newest whole checkpoint; "
                          + '; '.join(dict.fromkeys(reasons)))
    if found or path:
        raise ValueError(
            f"no checkpoint in '{folder or work_dir}' is whole: " + '; '.join(
                dict.fromkeys(reasons)) + '. Resume from another one by its path, or start anew '
            'without --resume or in another work dir')
    return None, None


def choose_for_all(work_dir: str, given: Optional[str] = None, **kwargs) -> tuple[
        Optional[str], Optional[str]]:
    """Choose on rank 0 and see that every node has that file.

    Args:
        work_dir (str): Of this node; nodes need not share it.
        given (str, optional): A path that the user gave. Defaults to none: the one that
            :func:`find_whole_checkpoint` finds.
        kwargs: Of :func:`find_whole_checkpoint`.

    Returns:
        tuple[Optional[str], Optional[str]]: Path for this process, or None, and a warning or
        None. The name of a file that rank 0 sent starts with ``received_``.

    Raises:
        ValueError: On all ranks, if the given file or all that there are cannot be resumed from.
        OSError: On all ranks, if a node cannot get the file.
    """
    plan = [None]
    if is_main_process():
        try:
            if given:
                require_whole(given, kwargs.get('keys', RESUMABLE))
                plan = [(given, None, work_dir)]
            else:
                plan = [(*find_whole_checkpoint(work_dir, **kwargs), work_dir)]
        except ValueError as error:
            plan = [error]
    broadcast_object_list(plan)
    if isinstance(plan[0], ValueError):
        raise plan[0]
    path, warning, main_dir = plan[0]
    if path is None or '://' in path or get_world_size() == 1:
        return path, warning
    inside = osp.relpath(osp.abspath(path), osp.abspath(main_dir))
    if given:
        local = given  # relative to the working directory of this node
    else:
        local = path if inside.startswith(os.pardir) else osp.join(work_dir, inside)
    received = osp.join(work_dir, f'received_{osp.basename(path)}')
    return give_to_nodes(path, local, received), warning


def give_to_nodes(path: str, local: str, received: str) -> str:
    """Send a file from rank 0 to those nodes that have it not.

    All ranks call this; the first process of a node writes for all of its node.

    Args:
        path (str): Of the file at rank 0.
        local (str): Where this node may have the same file.
        received (str): Where this node writes it otherwise.

    Returns:
        str: Path of the file for this process.

    Raises:
        OSError: On all ranks, if it cannot be read or written on one of them.
    """
    is_first = os.environ.get('LOCAL_RANK', '0') == '0'
    if sum(all_gather_object(is_first)) == 1:
        return local
    wanted = [(osp.getsize(path), _digest(path)) if is_main_process() else None]
    broadcast_object_list(wanted)
    size, digest = wanted[0]
    lacks_it = is_first and not (
        osp.isfile(local) and osp.getsize(local) == size and _digest(local) == digest)
    group = int(os.environ.get('GROUP_RANK', os.environ.get('SLURM_NODEID', '-1')))
    lacking = [node for node, lacks in all_gather_object((group, lacks_it)) if lacks]
    if not lacking:
        return local
    error = _transfer(path, size, received if lacks_it else None)
    if lacks_it and error is None and _digest(received) != digest:
        error = f"'{received}' differs from rank 0's '{path}' after the transfer"
    errors = [found for found in all_gather_object(error) if found]
    if errors:
        raise OSError(f"the checkpoint '{path}' of rank 0 could not be sent to all nodes, which "
                      'share no folder: ' + '; '.join(errors))
    return received if group in lacking else local


def _transfer(path: str, size: int, target: Optional[str]) -> Optional[str]:
    """Broadcast a file in pieces; return what went wrong here.

    A rank that fails goes on taking part, because the others would wait for it.
    """
    error, sink = None, None
    try:
        source = _chunks(path) if is_main_process() else None
        if target is not None:
            os.makedirs(osp.dirname(target), exist_ok=True)
            sink = open(target, 'wb')
    except OSError as problem:
        error = f"rank {os.environ.get('RANK', '?')}: {problem}"
    for start in range(0, size, CHUNK):
        piece = torch.zeros(min(CHUNK, size - start), dtype=torch.uint8)
        try:
            if is_main_process() and error is None:
                content = next(source, b'')
                if len(content) != len(piece):
                    raise OSError(f"'{path}' changed while it was sent")
                piece = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        except OSError as problem:
            error = str(problem)
        broadcast(piece)
        try:
            if sink is not None and error is None:
                sink.write(piece.numpy().tobytes())
        except OSError as problem:
            error = f"'{target}': {problem}"
    if sink is not None:
        sink.close()
    return error


def _chunks(path: str) -> Iterator[bytes]:
    with open(path, 'rb') as file:
        while content := file.read(CHUNK):
            yield content


def _digest(path: str) -> str:
    digest = hashlib.sha256()
    for content in _chunks(path):
        digest.update(content)
    return digest.hexdigest()
