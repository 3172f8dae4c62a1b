"""Features that were extracted before, in the place of videos.

T frames, C channels.
"""
import os
from pathlib import Path

import numpy as np
from mmcv.transforms import BaseTransform

from mmc2v.registry import DATASETS, TRANSFORMS

from .transforms import VideoDecodeError
from .video_text_dataset import VideoTextDataset


def feature_file(folder: Path, name: str) -> Path:
    """Return the file that holds a video's features."""
    return (folder / name).with_suffix('.npy')


def save_features(path: Path, features: np.ndarray) -> None:
    """Write the (T, C) features of a video, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix('.partial')
    with open(partial, 'wb') as file:
        np.save(file, features)
    os.replace(partial, path)


@DATASETS.register_module()
class FeatureTextDataset(VideoTextDataset):
    """Features of frames and captions, for those who have features and no videos.

    The annotation is that of the videos: the features of ``video0.mp4`` are in ``video0.npy`` of
    ``data_prefix['video']``, (T, C) floats, one row a frame or time step. ``tools/
    extract_features.py`` writes them by a model of ours, and ``tools/dataset_converters/
    mmaction_features.py`` turns those of MMAction2's clip_feature_extraction.py into them.

    Args:
        **kwargs: See :class:`VideoTextDataset`; its pipeline begins with :class:`LoadFeatures`.
    """

    @staticmethod
    def _file_of(folder: Path, name: str) -> Path:
        return feature_file(folder, name)


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
            VideoDecodeError: If the file is not an array of (T, C) finite floats.
        """
        path = results['filename']
        try:
            features = np.load(path, mmap_mode='r', allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise VideoDecodeError(path, f'not an .npy file of numbers: {error}') from error
        if features.ndim != 2 or not len(features) or features.dtype.kind != 'f':
            raise VideoDecodeError(path, f'holds {features.dtype} of shape {features.shape}, '
                                   'expected floats of (frames, channels)')
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
