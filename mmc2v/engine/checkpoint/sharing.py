"""How a job's nodes, which may share no folder, come to the same checkpoint."""
import hashlib
import os
from collections.abc import Iterator
from typing import Optional

import torch
from mmengine.dist import all_gather_object, broadcast, broadcast_object_list, is_main_process

from mmc2v.whole_files import open_whole

RECEIVED = 'received.pth'  # what rank 0 sent; one a node, written over by the next
_CHUNK_BYTES = 64 * 2 ** 20


def share_checkpoint(path: str, work_dir: str) -> str:
    """Bring the main process's checkpoint to nodes that do not have it; all ranks call this.

    Args:
        path (str): The file, as the main process names it.
        work_dir (str): This process's own work dir.

    Returns:
        str: The file, as this process finds it: the same path, or the same inside its own work
        dir, or what was received.

    Raises:
        OSError: On all ranks, if the file cannot be read, or be written where it is missing.
    """
    is_first = _is_first_on_node()
    if sum(all_gather_object(is_first)) == 1:
        return path  # one node
    main = [(work_dir, _size_and_digest(path)) if is_main_process() else None]
    broadcast_object_list(main)
    main_dir, content = main[0]
    received = os.path.join(work_dir, RECEIVED)
    candidates = (_same_place(path, main_dir, work_dir), received)
    found = next((name for name in candidates if _size_and_digest(name) == content), None)
    if all(all_gather_object(found is not None)):
        return found
    receives = found is None and is_first
    error = _transfer(path, content[0], received if receives else None)
    if receives and error is None and _size_and_digest(received) != content:
        error = f"'{received}' differs from what was sent"
    errors = [f'rank {rank}: {problem}' for rank, problem in enumerate(all_gather_object(error))
              if problem]
    if errors:
        raise OSError(f"'{path}' of rank 0 could not be sent to the nodes that lack it: "
                      + '; '.join(errors) + '. Copy it to each node, or mend that')
    return found or received


def _is_first_on_node() -> bool:
    local_rank = os.environ.get('OMPI_COMM_WORLD_LOCAL_RANK', os.environ.get('LOCAL_RANK'))
    return local_rank in (None, '0')


def _same_place(path: str, main_dir: str, work_dir: str) -> str:
    """Return the path, or the same inside this process's work dir where it is inside the main's."""
    inside = os.path.relpath(os.path.abspath(path), os.path.abspath(main_dir))
    if is_main_process() or inside.startswith(os.pardir):
        return path
    return os.path.join(work_dir, inside)


def _transfer(path: str, size: int, target: Optional[str]) -> Optional[str]:
    """Broadcast a file in pieces and write it where there is a target; return what went wrong.

    A rank on which something fails goes on taking part, because the others wait for it.
    """
    errors: list[str] = []
    pieces = _broadcast_pieces(path, size, errors)
    try:
        if target is not None:
            with open_whole(target) as file:
                for piece in pieces:
                    file.write(piece)
    except OSError as problem:
        errors.append(f"'{target}' cannot be written: {problem}")
    for _ in pieces:
        pass
    return errors[0] if errors else None


def _broadcast_pieces(path: str, size: int, errors: list[str]) -> Iterator[bytes]:
    """Yield what the main process reads, zeros after an error, which is added there."""
    source = _chunks(path)
    for start in range(0, size, _CHUNK_BYTES):
        piece = torch.zeros(min(_CHUNK_BYTES, size - start), dtype=torch.uint8)
        try:
            if is_main_process() and not errors:
                piece.copy_(torch.frombuffer(bytearray(next(source)), dtype=torch.uint8))
        except (OSError, RuntimeError, StopIteration) as problem:  # gone, or of another size
            errors.append(f"'{path}' cannot be read: {problem}")
        broadcast(piece)
        yield piece.numpy().tobytes()


def _chunks(path: str) -> Iterator[bytes]:
    with open(path, 'rb') as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _size_and_digest(path: str) -> tuple[int, str]:
    if not os.path.isfile(path):
        return -1, ''
    with open(path, 'rb') as file:
        return os.path.getsize(path), hashlib.file_digest(file, 'blake2b').hexdigest()
