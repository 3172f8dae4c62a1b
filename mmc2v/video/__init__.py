"""Reading videos: frames by number, times, and what is wrong with a file.

Knows nothing of data sets. A file becomes an index of packets, the index says when each frame is
shown, and a reader decodes what is asked for.
"""
from .decoded_frames import DecodedFrames
from .decord_reader import DecordReader
from .kept_videos import KeptVideos
from .pyav_reader import PyAVReader
from .reader import MAX_PIXELS, VideoDecodeError, VideoReader

BACKENDS: dict[str, type[VideoReader]] = {'decord': DecordReader, 'pyav': PyAVReader}

__all__ = ['BACKENDS', 'MAX_PIXELS', 'DecodedFrames', 'KeptVideos', 'VideoDecodeError',
           'VideoReader']
