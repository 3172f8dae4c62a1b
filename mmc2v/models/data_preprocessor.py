"""Turns what the data loader collated into what the model reads, on the model's device."""
from collections.abc import Sequence
from typing import Optional

import torch
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from mmc2v.registry import MODELS

from .contracts import require_end_tokens, require_valid_frames
from .text_chunks import caption_lengths


@MODELS.register_module()
class RetrievalDataPreprocessor(BaseDataPreprocessor):
    """Normalises frames and trims captions.

    Frames travel as uint8 and become numbers on the device. Padded frames are zero AFTER
    normalisation. B videos, N captions, T frames, L tokens of the longest caption.

    Args:
        mean (Sequence[float], optional): Mean of red, green, blue in [0, 255]. Defaults to CLIP's.
            None leaves frames as they are, for features in the place of frames.
        std (Sequence[float], optional): Standard deviation likewise. Defaults to CLIP's.
        pad_token (int): Token id after the end of captions. Defaults to 0.

    Attributes:
        end_token (int, optional): Id that each caption has to have; set by the model.
    """

    def __init__(self, mean: Optional[Sequence[float]] = (122.7709383, 116.7460125, 104.09373615),
                 std: Optional[Sequence[float]] = (68.5005327, 66.6321579, 70.32316305),
                 pad_token: int = 0, non_blocking: bool = True) -> None:
        super().__init__(non_blocking)
        for name, value in (('mean', mean), ('std', std)):
            self.register_buffer(name, None if value is None else torch.tensor(value).view(3, 1, 1),
                                 persistent=False)
        self.pad_token = pad_token
        self.end_token: Optional[int] = None

    def forward(self, data: dict, training: bool = False) -> dict:
        """Batch the collated items.

        Args:
            data (dict): ``inputs``: any of ``frames`` (list of (T, 3, H, W) uint8, or of (T, C)
                features), ``frame_mask`` (list of (T,) bool) and ``tokens`` (list of (n_i, L')
                ids), one element a video; ``data_samples``: list of data samples.
            training (bool): Not used.

        Returns:
            dict: ``inputs``: ``frames`` (B, T, 3, H, W) or (B, T, C), ``frame_mask`` (B, T) bool,
            ``tokens`` (N, L), ``captions_per_video`` (list of B ints); ``data_samples``.

        Raises:
            ValueError: If a video has no valid frame, or a caption no end token.
        """
        inputs = data['inputs']
        batch = {}
        if 'frames' in inputs:
            frames = self.cast_data(torch.stack(inputs['frames']))
            frame_mask = torch.stack(inputs['frame_mask'])
            require_valid_frames(frame_mask)
            batch['frame_mask'] = self.cast_data(frame_mask)
            batch['frames'] = self._normalise(frames, batch['frame_mask'])
        if 'tokens' in inputs:
            tokens = torch.cat(inputs['tokens'])
            require_end_tokens(tokens, self.end_token)
            longest = int(caption_lengths(tokens, self.pad_token).max())
            batch['tokens'] = self.cast_data(tokens[:, :longest or None])
            batch['captions_per_video'] = [len(caption) for caption in inputs['tokens']]
        return dict(inputs=batch, data_samples=data.get('data_samples'))

    def _normalise(self, frames: Tensor, frame_mask: Tensor) -> Tensor:
        if self.mean is not None:
            frames = (frames.to(self.mean.dtype) - self.mean) / self.std
        padded = ~frame_mask.view(*frame_mask.shape, *[1] * (frames.ndim - 2))
        return frames.masked_fill(padded, 0.0)
