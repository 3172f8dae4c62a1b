"""Generated data sets as files: videos, annotations, groups of videos, kinds or classes."""
import json
from dataclasses import fields
from pathlib import Path

import av
import numpy as np
from tqdm import tqdm

from mmc2v.whole_files import make_whole_folder

from .events import DIRECTIONS
from .moving_events import MovingEvents

CLASSES = tuple(DIRECTIONS)  # of action recognition, in the order of labels


def write_video(path: Path, frames: np.ndarray, fps: int = 5) -> None:
    """Write frames as H.264 in mp4, lossless and every frame by itself.

    Args:
        path (Path): File to write.
        frames (np.ndarray): (F, H, W, 3) uint8 RGB, sides even.
        fps (int): Frames a second. Defaults to 5.
    """
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('libx264', rate=fps)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = 'yuv420p'
        stream.codec_context.thread_count = 1
        stream.options = {'qp': '0', 'preset': 'ultrafast', 'g': '1', 'bf': '0'}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format='rgb24')))
        container.mux(stream.encode())


def is_written(marker: Path, record: dict, title: str, overwrite: bool) -> bool:
    """Say whether the same data are there already, and refuse what must not be replaced.

    Args:
        marker (Path): File in the folder of the data that holds the numbers they were made with.
        record (dict): Numbers of the data that are wanted.
        title (str): What they are called.
        overwrite (bool): Whether data of the same title and other numbers may be replaced.

    Raises:
        ValueError: If the folder exists and holds something else.
    """
    folder = marker.parent
    found = json.loads(marker.read_text()) if marker.is_file() else None
    if found == record:
        return True
    if folder.exists() and found is None:
        raise ValueError(f"'{folder}' exists and is no data set of {title}; choose another "
                         'folder or remove it')
    if found is not None and not overwrite:
        raise ValueError(f"'{folder}' holds other {title}, made with {found}; choose another "
                         'folder, or replace them with --overwrite')
    return False


def write_dataset(folder: Path, spec: MovingEvents, overwrite: bool = False) -> bool:
    """Write the data set, or nothing where the same one already is there.

    ``train.json`` and ``test.json`` are annotations, ``train_groups.json`` names descriptions and
    ``test_groups.json`` pairs of twins; videos are in ``train/`` and ``test/``. Where there are
    several kinds, ``train_kinds.json`` and ``test_kinds.json`` name them, and ``..._rivals.json``
    which descriptions differ in what changes alone, such as all directions of one shape; otherwise
    ``train.txt`` and ``test.txt`` list videos and classes of motion for MMAction2's VideoDataset.

    Args:
        folder (Path): Where to; made whole elsewhere and moved there when finished.
        spec (MovingEvents): What to generate.
        overwrite (bool): Replace a data set of the same name and other numbers. Defaults to False.

    Returns:
        bool: True if it was written.

    Raises:
        ValueError: If the folder exists and holds something else.
    """
    record = {field.name: getattr(spec, field.name) for field in fields(spec) if field.init}
    record['format'] = spec.version
    marker = folder / f'{spec.name}.json'
    if is_written(marker, record, spec.name.replace('_', ' '), overwrite):
        return False
    with make_whole_folder(folder) as made:
        for split in ('train', 'test'):
            _write_split(made, split, spec)
        (made / marker.name).write_text(json.dumps(record))
    return True


def _write_split(folder: Path, split: str, spec: MovingEvents) -> None:
    (folder / split).mkdir()
    captions, groups, kinds, changes, rivals = {}, {}, {}, {}, {}
    for index, video in enumerate(tqdm(spec.videos(split), total=spec.sizes[split],
                                       desc=f'{split} videos', mininterval=1)):
        name = f'{split}{index:05d}.mp4'  # ids are unique over splits
        write_video(folder / split / name, video.frames)
        captions[name], groups[name] = video.captions, video.group
        kinds[name], changes[name] = video.kind, video.event.change
        rivals[name] = video.event.look
    files = {'': captions, '_groups': groups}
    if len(spec.kinds) > 1:
        files.update(_kinds=kinds, _rivals=rivals)
    else:
        (folder / f'{split}.txt').write_text(''.join(
            f'{name} {CLASSES.index(change)}\n' for name, change in changes.items()))
    for suffix, content in files.items():
        (folder / f'{split}{suffix}.json').write_text(json.dumps(content, indent=1))
