"""Transforms from a file name and captions to a packed item."""
from mmc2v.video import BACKENDS, VideoDecodeError

from .decoding import DecodeFrames, OpenVideo
from .features import LoadFeatures
from .packing import PackRetrievalInputs
from .sampling import SampleGridFrames, choose_grid_frames, grid_size, grid_to_frames
from .spatial import ResizeCenterCrop
from .text import Tokenize

__all__ = [
    'BACKENDS', 'DecodeFrames', 'LoadFeatures', 'OpenVideo', 'PackRetrievalInputs',
    'ResizeCenterCrop', 'SampleGridFrames', 'Tokenize', 'VideoDecodeError', 'choose_grid_frames',
    'grid_size', 'grid_to_frames',
]
