"""Finding video files by id, and finding those that cannot be decoded."""
import os
import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
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


def find_videos(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Find videos in a folder and its subfolders, linked ones included.

    The closest match wins: the very file that is listed, then the same with a further extension
    (``x.mov.mp4`` for ``x.mov``), then the same id with another extension (``x.mp4``), then the id
    without ActivityNet's ``v_``. A listed file counts whatever its extension. Ids are
    case-sensitive, as YouTube's are, extensions are not.

    Args:
        folder (Path): Where to look.
        names (Iterable[str]): Official ids or file names. One with a folder in it is relative to
            ``folder``; any other is found in subfolders as well.

    Returns:
        dict[str, str]: name -> path relative to the folder, for those that are there.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If the folder has none of them, several files that match one equally well, or
            one file that matches two.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"--videos '{folder}' is not a folder")
    names = list(dict.fromkeys(names))
    listed = {posixpath.basename(name) for name in names}
    files = sorted(path for path in walk_files(folder) if posixpath.basename(path) in listed
                   or posixpath.splitext(path)[1].lower() in VIDEO_EXTENSIONS)
    index: dict[tuple[str, str], list[str]] = {}
    for path in files:
        for key in _keys_of_file(path):
            index.setdefault(key, []).append(path)
    found: dict[str, str] = {}
    for name in names:
        candidates = next((index[key] for key in _keys_of_name(name) if key in index), [])
        if len(candidates) > 1:
            raise ValueError(f"--videos '{folder}' has {len(candidates)} files of video '{name}': "
                             f'{candidates}. Keep one of them')
        if candidates:
            found[name] = candidates[0]
    if not found:
        raise ValueError(f"--videos '{folder}' has {len(files)} videos, and none is one of the "
                         f"{len(names)} of the annotation, such as '{names[0]}'")
    refuse_shared_files(found)
    return found


def walk_files(folder: Path) -> Iterator[str]:
    """Yield the files below a folder, each real folder once, so that links cannot form a loop.

    Args:
        folder (Path): Where to look.

    Yields:
        str: Path relative to the folder, with forward slashes.

    Raises:
        OSError: If a folder cannot be read: what is in it would seem to be missing.
    """
    def refuse(error: OSError) -> None:
        raise error

    visited = set()
    for parent, subfolders, files in os.walk(folder, onerror=refuse, followlinks=True):
        if os.path.realpath(parent) in visited:
            subfolders.clear()
            continue
        visited.add(os.path.realpath(parent))
        subfolders.sort()
        for name in files:
            if os.path.isfile(os.path.join(parent, name)):
                yield (Path(parent) / name).relative_to(folder).as_posix()


def _keys_of_file(path: str) -> set[tuple[str, str]]:
    """Return under what a file is found: see :func:`_keys_of_name`."""
    base = posixpath.basename(path)
    stem, extension = posixpath.splitext(path)
    stem = stem if extension.lower() in VIDEO_EXTENSIONS else path
    return {('path', path), ('name', base), ('stem', stem), ('stem', posixpath.basename(stem)),
            ('id', posixpath.join(posixpath.dirname(path), match_id(base))),
            ('id', match_id(base))}


def _keys_of_name(name: str) -> list[tuple[str, str]]:
    """Return under what to look for a listed video, the closest match first."""
    folder, identity = posixpath.dirname(name), match_id(name)
    return [('path', name), ('name', name), ('stem', name),
            ('id', posixpath.join(folder, identity)),
            ('id', posixpath.join(folder, identity.removeprefix('v_')))]


def refuse_shared_files(found: Mapping[str, str]) -> None:
    """Refuse two listed names (keys) of one file (value), of which one would get lost."""
    names: dict[str, str] = {}
    for name, path in found.items():
        if names.setdefault(path, name) != name:
            raise ValueError(f"'{names[path]}' and '{name}' are listed as two videos, and "
                             f"'{path}' is the file of both; name it in one way")


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
