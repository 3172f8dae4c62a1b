"""Packs one item for the data loader.

T frames the model takes, n captions, L tokens, C channels of features.
"""
from collections.abc import Sequence

import numpy as np
import torch
from mmaction.structures import ActionDataSample
from mmcv.transforms import BaseTransform

from mmc2v.registry import TRANSFORMS

META_KEYS = ('filename', 'video_id', 'captions', 'group', 'kind', 'frame_inds', 'replaces',
             'undecodable', 'damage')


def _padded(frames: torch.Tensor, num_frames: int) -> dict[str, torch.Tensor]:
    if len(frames) > num_frames:
        raise ValueError(f'{len(frames)} frames for a clip of {num_frames}; sample one clip '
                         '(num_clips=1)')
    padded = frames.new_zeros(num_frames, *frames.shape[1:])
    padded[:len(frames)] = frames
    return dict(frames=padded, frame_mask=torch.arange(num_frames) < len(frames))


@TRANSFORMS.register_module()
class PackRetrievalInputs(BaseTransform):
    """Packs frames or their features, their mask, and tokens; either modality may be absent.

    Required keys: imgs (at most T images of one size) or features (at most T rows), and clip_len
    (T), or tokens, or both.

    Args:
        meta_keys (Sequence[str]): Keys that go into the data sample where they are present.
    """

    def __init__(self, meta_keys: Sequence[str] = META_KEYS) -> None:
        self.meta_keys = tuple(meta_keys)

    def transform(self, results: dict) -> dict:
        """Pack one item.

        Returns:
            dict: ``inputs``: frames (T, 3, H, W) uint8 or (T, C) float32, with zeros after the
            last, frame_mask (T,) bool, tokens (n, L) int64; ``data_samples``: an
            ActionDataSample with meta data.
        """
        inputs = {}
        if 'imgs' in results:
            images = torch.from_numpy(np.stack(results['imgs'])).permute(0, 3, 1, 2)
            inputs.update(_padded(images, results['clip_len']))
        elif 'features' in results:
            inputs.update(_padded(torch.from_numpy(results['features']), results['clip_len']))
        if 'tokens' in results:
            inputs['tokens'] = results['tokens']
        sample = ActionDataSample()
        sample.set_metainfo({key: results[key] for key in self.meta_keys if key in results})
        return dict(inputs=inputs, data_samples=sample)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(meta_keys={self.meta_keys})'
