"""Features that were extracted before, in the place of videos.

T frames, C channels.
"""
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from mmc2v.annotations import video_id
from mmc2v.registry import DATASETS
from mmc2v.whole_files import open_whole

from .video_text_dataset import VideoTextDataset


def feature_files(folder: Path, names: Iterable[str]) -> dict[str, Path]:
    """Return the file of each video's features, ``cats/1.npy`` for ``cats/1.mp4``.

    Extensions of videos alone are replaced, because names without one may contain dots.

    Args:
        folder (Path): Folder of the features.
        names (Iterable[str]): Names of videos; one that appears twice is one video.

    Raises:
        ValueError: If two videos would share a file, as ``1.mp4`` and ``1.webm`` would.
    """
    files: dict[str, Path] = {}
    name_of: dict[Path, str] = {}
    for name in names:
        files[name] = path = (folder / name).with_name(f'{video_id(name)}.npy')
        if name_of.setdefault(path, name) != name:
            raise ValueError(f"the features of '{name_of[path]}' and of '{name}' would be one file "
                             f"'{path}'; rename one of these videos, or keep them in two folders")
    return files


def save_features(path: Path, features: np.ndarray) -> None:
    """Write the (T, C) features of a video, whole or not at all."""
    with open_whole(path) as file:
        np.save(file, features)


@DATASETS.register_module()
class FeatureTextDataset(VideoTextDataset):
    """Features of frames and captions, for those who have features and no videos.

    The annotation is that of the videos: the features of ``video0.mp4`` are in ``video0.npy`` of
    ``data_prefix['video']``, (T, C) floats, one row a frame or time step. ``tools/
    extract_features.py`` writes them by a model of ours, and ``tools/dataset_converters/
    mmaction_features.py`` turns those of MMAction2's clip_feature_extraction.py into them.

    Args:
        **kwargs: See :class:`VideoTextDataset`; its pipeline begins with
            :class:`~mmc2v.datasets.transforms.LoadFeatures`.

    Raises:
        ValueError: See there; also if two videos would share a file of features.
    """

    _files_of = staticmethod(feature_files)
