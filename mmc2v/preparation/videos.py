"""Finding video files by id, and finding those that cannot be decoded."""
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Optional

from tqdm import tqdm

from mmc2v.annotations import VIDEO_EXTENSIONS, video_id


def match_id(name: str) -> str:
    """Return what official names and file names have in common.

    Without folder and extensions; downloads may have added a second one, ``x.avi.mp4``.
    """
    stripped = video_id(name)
    return stripped if stripped == video_id(stripped) else match_id(stripped)


def find_videos(folder: Path, ids: Iterable[str]) -> dict[str, str]:
    """Find videos in a folder and its subfolders.

    Args:
        folder (Path): Where to look.
        ids (Iterable[str]): Official ids or file names.

    Returns:
        dict[str, str]: id -> path relative to the folder, for those that are there. ActivityNet's
        ``v_<id>`` also finds ``<id>``.

    Raises:
        ValueError: If the folder has no video of them, or two files of one id.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"--videos '{folder}' is not a folder")
    files: dict[str, list[str]] = {}
    for path in sorted(folder.rglob('*')):
        if path.suffix.lower() in VIDEO_EXTENSIONS and path.is_file():
            files.setdefault(match_id(path.name), []).append(path.relative_to(folder).as_posix())
    found: dict[str, str] = {}
    ids = list(ids)
    for name in ids:
        plain = match_id(name)
        candidates = files.get(plain) or files.get(plain.removeprefix('v_'), [])
        if len(candidates) > 1:
            raise ValueError(f"--videos '{folder}' has {len(candidates)} files of video '{name}': "
                             f'{candidates}. Keep one of them')
        if candidates:
            found[name] = candidates[0]
    if not found:
        raise ValueError(f"--videos '{folder}' has {sum(map(len, files.values()))} videos, and "
                         f"none is one of the {len(ids)} of the annotation, such as '{ids[0]}'")
    return found


def problem_of(path: str) -> Optional[str]:
    """Decode a whole video; return what the decoder says, or None if all frames came."""
    from mmc2v.datasets.transforms import BACKENDS, OpenVideo, VideoDecodeError
    try:
        BACKENDS[OpenVideo().backend](path).check()
    except VideoDecodeError as error:
        return error.reason
    return None


def find_undecodable(folder: Path, names: Sequence[str], workers: int) -> dict[str, str]:
    """Decode every frame of every video, in parallel, with a progress bar.

    Args:
        folder (Path): Folder of the videos.
        names (Sequence[str]): Paths relative to it.
        workers (int): Processes.

    Returns:
        dict[str, str]: name -> reason, of those that cannot be decoded.
    """
    paths = [str(folder / name) for name in names]
    found: dict[str, str] = {}
    done = 0
    with tqdm(total=len(names), desc='checking videos', mininterval=1) as progress:
        while done < len(names):
            try:
                with ProcessPoolExecutor(max(1, workers)) as pool:
                    for problem in pool.map(problem_of, paths[done:]):
                        if problem is not None:
                            found[names[done]] = problem
                        done += 1
                        progress.update()
            except BrokenProcessPool:  # one of the next few took the decoder's process with it
                last = min(done + 2 * workers, len(names))
                while done < last:
                    problem = _problem_alone(paths[done])
                    if problem is not None:
                        found[names[done]] = problem
                    done += 1
                    progress.update()
    return found


def _problem_alone(path: str) -> Optional[str]:
    """Check one video in a process of its own, which it may crash."""
    try:
        with ProcessPoolExecutor(1) as pool:
            return pool.submit(problem_of, path).result()
    except BrokenProcessPool:
        return 'the decoder crashes on it'
