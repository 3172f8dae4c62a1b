"""Reading features that were extracted before.

T frames, C channels.
"""
import numpy as np
from mmcv.transforms import BaseTransform

from mmc2v.registry import TRANSFORMS
from mmc2v.video import VideoDecodeError

# Beyond every backbone: a file may hold holes, take no room on the disk and all of the memory.
MAX_CHANNELS = 65536


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
