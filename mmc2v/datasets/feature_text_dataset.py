"""Features that were extracted before, in the place of videos.

T frames, C channels.
"""
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from mmcv.transforms import BaseTransform

from mmc2v.annotations import video_id
from mmc2v.registry import DATASETS, TRANSFORMS
from mmc2v.whole_files import open_whole

from .transforms import VideoDecodeError
from .video_text_dataset import VideoTextDataset

# Beyond every backbone: a file may hold holes, take no room on the disk and all of the memory.
MAX_CHANNELS = 65536


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
        **kwargs: See :class:`VideoTextDataset`; its pipeline begins with :class:`LoadFeatures`.

    Raises:
        ValueError: See there; also if two videos would share a file of features.
    """

    @staticmethod
    def _files_of(folder: Path, names: Iterable[str]) -> dict[str, Path]:
        return feature_files(folder, names)


@TRANSFORMS.register_module()
class LoadFeatures(BaseTransform):
    """Reads features of frames and spreads what the model takes evenly over them.

    Required keys: filename. Added keys: features ((n, C) float32, n at most T), clip_len (T).

    Args:
        num_frames (int): Frames T that the model takes; fewer are padded when packed. Defaults
            to 12.
    """

    def __init__(self, num_frames: int = 12) -> None:
        if num_frames < 1:
            raise ValueError(f'num_frames must be at least 1, got {num_frames}')
        self.num_frames = num_frames

    def transform(self, results: dict) -> dict:
        """Read the features of one video.

        Raises:
            VideoDecodeError: If the file is not an array of (T, C) finite floats, C up to
                :data:`MAX_CHANNELS`.
        """
        path = results['filename']
        try:
            features = np.load(path, mmap_mode='r', allow_pickle=False)
        except Exception as error:  # a damaged header raises of many types
            raise VideoDecodeError(path, f'not an .npy file of numbers: {error}') from error
        if not isinstance(features, np.ndarray):  # an archive of arrays
            raise VideoDecodeError(path, 'not an .npy file of numbers, but an .npz archive')
        if features.ndim != 2 or not features.size or features.dtype.kind != 'f':
            raise VideoDecodeError(path, f'holds {features.dtype} of shape {features.shape}, '
                                   'expected floats of (frames, channels)')
        if features.shape[1] > MAX_CHANNELS:
            raise VideoDecodeError(path, f'holds {features.shape[1]} channels, more than the '
                                   f'{MAX_CHANNELS} that are read')
        if len(features) > self.num_frames:
            chosen = np.linspace(0, len(features) - 1, self.num_frames, dtype=int)
            features = features[chosen]
        features = np.array(features, dtype=np.float32)
        if not np.isfinite(features).all():
            raise VideoDecodeError(path, 'holds NaN or infinite features')
        results.update(features=features, clip_len=self.num_frames)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(num_frames={self.num_frames})'
