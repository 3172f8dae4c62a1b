"""One run at a time writes into a work dir."""
import json
import os
import socket
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from mmc2v.whole_files import write_whole

LOCK = '.run.lock'  # the system frees it when its process ends, however that ends
HOLDER = '.run.json'  # who holds it; some releases of filelock empty the lock's own file
_WAIT_SECONDS = 10  # loader workers of a killed run may hold it until they notice, five at most

_held: dict[str, FileLock] = {}


def lock_work_dir(folder: str) -> None:
    """Lock a folder for this process, until :func:`unlock_work_dir` or its end.

    A process that holds the lock already keeps it: its former run ended by an error.

    Args:
        folder (str): Work dir; it is made.

    Raises:
        ValueError: If another process holds it.
    """
    place = os.path.realpath(folder)
    if place in _held:
        return
    os.makedirs(place, exist_ok=True)
    lock = FileLock(os.path.join(place, LOCK))
    try:
        lock.acquire(timeout=0 if _is_alive(_read_holder(place)) else _WAIT_SECONDS)
    except Timeout:
        raise ValueError(f"another run writes into '{folder}': {_describe(_read_holder(place))}. "
                         'Wait for its end, end it, or give another work dir') from None
    _held[place] = lock
    write_whole(Path(place, HOLDER), json.dumps(dict(
        host=socket.gethostname(), process=os.getpid(),
        since=datetime.now().astimezone().isoformat(' ', 'seconds'))).encode())


def unlock_work_dir(folder: str) -> None:
    """Free a folder that this process has locked.

    Args:
        folder (str): As it was given to :func:`lock_work_dir`.
    """
    lock = _held.pop(os.path.realpath(folder), None)
    if lock is not None:  # it may have been named twice, in two ways
        Path(folder, HOLDER).unlink(missing_ok=True)
        lock.release()


def _read_holder(place: str) -> dict:
    """Return who holds the lock of a folder; nothing where that is not known."""
    try:
        holder = json.loads(Path(place, HOLDER).read_bytes())
        return {key: holder[key] for key in ('host', 'process', 'since')}
    except (OSError, ValueError, KeyError, TypeError):  # it has only just begun
        return {}


def _is_alive(holder: dict) -> bool:
    """Whether a holder is known to run on this machine, so that waiting would be in vain."""
    if holder.get('host') != socket.gethostname():
        return False
    try:
        state = Path(f"/proc/{holder['process']}/stat").read_text().rpartition(')')[2].split()[0]
    except (OSError, ValueError):  # it has ended, or this system has no such files
        return False
    return state != 'Z'  # killed, and its parent has not asked for it


def _describe(holder: dict) -> str:
    if not holder:
        return 'a process that has not said who it is'
    return f"process {holder['process']} on {holder['host']}, since {holder['since']}"
