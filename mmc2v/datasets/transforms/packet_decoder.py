"""Decoding runs of packets with one thread, and noticing what the decoder would hide."""
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Optional

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from .video_index import VideoIndex, is_whole_jpeg, open_container

# The decoder refuses what it would otherwise conceal.
_OPTIONS = {'err_detect': 'explode'}


class DamageError(Exception):
    """A fault that neither demuxer nor decoder raises."""


class PacketDecoder:
    """Decodes packets of one video.

    Args:
        stream (av.VideoStream): Of an open file.
        index (VideoIndex): Its packets.

    Attributes:
        position (int): Packet that the decoder has last.
    """

    def __init__(self, stream: av.VideoStream, index: VideoIndex) -> None:
        self._index = index
        self._reformatter = VideoReformatter()
        self._is_jpeg = stream.codec_context.codec.canonical_name == 'mjpeg'
        self.position = 0
        self._again: Optional[av.container.InputContainer] = None
        self._was_used = False
        self._prepare(stream)

    def _prepare(self, stream: av.VideoStream) -> None:
        self._context = stream.codec_context
        self._context.thread_count = 1  # workers are the parallelism
        self._context.options = dict(_OPTIONS)
        # Opened before anything is skipped: some decoders read what to skip at opening alone.
        self._context.open(strict=False)

    def _forget(self) -> None:
        """Let the decoder begin anew, without a frame of an earlier pass to refer to."""
        if self._index.flushes or not self._was_used:
            self._context.flush_buffers()
        else:
            self.close()
            self._again = open_container(self._index.path)
            self._prepare(self._again.streams[self._index.stream_index])
        self._was_used = True

    def close(self) -> None:
        """Let go of what was opened here."""
        if self._again is not None:
            self._again.close()
            self._again = None

    def frames(self, start: int, stop: int, targets: Optional[set[int]] = None,
                ) -> Iterator[av.VideoFrame]:
        """Decode packets.

        Args:
            start (int): Position of the first, a keyframe.
            stop (int): Position after the last.
            targets (set[int], optional): Positions of the packets whose frames are wanted;
                others are decoded only where frames refer to them. Defaults to all.

        Yields:
            av.VideoFrame: In the order in which they are shown.

        Raises:
            av.FFmpegError: If the decoder finds a fault.
            DamageError: If demuxer or decoder call something corrupt that others may refer to.
        """
        self._forget()
        context = self._context
        first_pts: Optional[int] = None
        for position, packet in enumerate(self._index.read(start, stop), start):
            self.position = position
            first_pts = packet.pts if position == start else first_pts
            if packet.is_corrupt or (self._is_jpeg and not is_whole_jpeg(bytes(packet))):
                raise DamageError('a packet is corrupt')
            # B-frames that none refers to are most of what lies between targets
            context.skip_frame = 'DEFAULT' if targets is None or position in targets else 'NONREF'
            yield from self._whole(context.decode(packet), first_pts)
        yield from self._whole(context.decode(None), first_pts)

    @staticmethod
    def _whole(frames: Sequence[av.VideoFrame], first_pts: Optional[int],
               ) -> Iterator[av.VideoFrame]:
        """Refuse what the decoder calls corrupt, but for what is shown before its keyframe.

        Such frames refer to the group of pictures before, which the decoder has not seen.
        """
        for frame in frames:
            if not frame.is_corrupt:
                yield frame
            elif first_pts is None or frame.pts is None or frame.pts >= first_pts:
                raise DamageError('the decoder calls a frame corrupt')

    def to_array(self, frame: av.VideoFrame) -> np.ndarray:
        """Return (H, W, 3) uint8 RGB, upright."""
        image = self._reformatter.reformat(frame, format='rgb24', threads=1).to_ndarray()
        turns, odd = divmod(frame.rotation, 90)
        if odd:
            raise DamageError(f'its rotation of {frame.rotation} degrees is no quarter turn')
        return np.ascontiguousarray(np.rot90(image, turns)) if turns % 4 else image

    @contextmanager
    def complaints(self) -> Iterator[list[str]]:
        """Collect what the decoder logs as errors in this thread; complete when it ends.

        Some faults, such as a missing reference, are concealed and show nowhere else.
        """
        level, skip = av.logging.get_level(), av.logging.get_skip_repeated()
        av.logging.set_level(av.logging.ERROR)
        av.logging.set_skip_repeated(False)
        said: list[str] = []
        try:
            with av.logging.Capture() as logs:
                yield said
            said += [text.strip() for _, name, text in logs if name == self._context.name]
        finally:
            av.logging.set_level(level)
            av.logging.set_skip_repeated(skip)
