"""Decoding runs of packets with one thread, and noticing what the decoder would hide."""
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Optional

import av
import numpy as np
from av.sidedata.sidedata import SideDataContainer
from av.video.frame import PictureType
from av.video.reformatter import VideoReformatter

from .complaints import complaints_of
from .opening import open_container
from .packet_index import VideoIndex
from .whole_packets import is_whole_flashsv, is_whole_jpeg

# The decoder refuses what it would otherwise conceal.
_OPTIONS = {'err_detect': 'explode'}

# Kinds of frames that refer to others; some decoders do not say of which kind theirs are.
_REFERRING = (PictureType.P, PictureType.B, PictureType.S)
# Sine of the angle by which a display matrix may miss a quarter turn, by rounding.
_MAX_SKEW = 0.01
# Decoders that at the end return the last frame again, under the time of a packet without a frame.
_REPEAT = {'flv1', 'h263', 'mpeg1video', 'mpeg2video', 'mpeg4', 'msmpeg4v2', 'msmpeg4v3', 'wmv1',
           'wmv2'}


class DamageError(Exception):
    """A fault that neither demuxer nor decoder raises."""


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Refuse frames that would take too much memory.

    Raises:
        DamageError: If there are more pixels.
    """
    if width * height > max_pixels:
        raise DamageError(f'a frame of {width} x {height} pixels is beyond '
                          f'max_pixels={max_pixels}; OpenVideo(max_pixels=...) can allow more')


def display_matrix(frame: av.VideoFrame) -> Optional[tuple[float, float, float, float]]:
    """Return a, b, c, d such that a point (x, y), y downwards, is shown at (a x + c y, b x + d y).

    Returns:
        tuple, optional: None where the file says nothing: upright.

    Raises:
        DamageError: If it neither keeps nor exchanges the axes.
    """
    # frame.side_data would be one that the frame keeps, a cycle that holds it until it is collected
    content = SideDataContainer(frame).get('DISPLAYMATRIX')
    if content is None:
        return None
    a, b, c, d = np.frombuffer(bytes(content), np.int32).astype(np.float64)[[0, 1, 3, 4]]
    kept, exchanged = sorted((abs(a), abs(d))), sorted((abs(b), abs(c)))
    large, small = max(kept, exchanged), min(kept, exchanged)
    if large[0] == 0 or small[1] > _MAX_SKEW * large[0]:
        raise DamageError('its display matrix is not of quarter turns and mirrors')
    return a, b, c, d


def displayed(image: np.ndarray, matrix: tuple[float, float, float, float]) -> np.ndarray:
    """Turn and mirror an image (H, W, 3) by its display matrix."""
    a, b, c, d = matrix
    if abs(a) < abs(b):
        # with x and y exchanged the columns of the image are shown along b, its rows along c
        image, a, b, c, d = image.transpose(1, 0, 2), c, d, a, b
    return np.ascontiguousarray(image[::-1 if d < 0 else 1, ::-1 if a < 0 else 1])


class PacketDecoder:
    """Decodes packets of one video.

    Args:
        stream (av.VideoStream): Of an open file.
        index (VideoIndex): Its packets.
        max_pixels (int): Of a frame.

    Attributes:
        position (int): Packet that the decoder has last.
    """

    def __init__(self, stream: av.VideoStream, index: VideoIndex, max_pixels: int) -> None:
        self._index = index
        self._max_pixels = max_pixels
        self._reformatter = VideoReformatter()
        codec = stream.codec_context.codec.canonical_name
        self._is_whole = {'mjpeg': is_whole_jpeg, 'flashsv': is_whole_flashsv}.get(codec)
        self._repeats = codec in _REPEAT
        self.position = 0
        self._again: Optional[av.container.InputContainer] = None
        self._was_used = False
        self._begun = False
        self._prepare(stream)

    def _prepare(self, stream: av.VideoStream) -> None:
        self._context = stream.codec_context
        self._context.thread_count = 1  # workers are the parallelism
        # Codecs round sizes up to whole blocks; the exact check is that of each frame.
        self._context.options = dict(_OPTIONS, max_pixels=str(2 * self._max_pixels))
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
            start (int): Position of the first, a keyframe. Containers may call a packet one that
                is none; then the decoder would show frames made of what it does not have.
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
        returned, delay = 0, stop - start  # frames that came; packets that they are behind at least
        for position, packet in enumerate(self._index.read(start, stop), start):
            self.position = position
            if position == start:
                first_pts = packet.pts
                self._begun = packet.is_discard  # what an edit list cuts off is not returned
            if packet.is_corrupt or (self._is_whole and not self._is_whole(bytes(packet))):
                raise DamageError('a packet is corrupt')
            # B-frames that none refers to are most of what lies between targets
            context.skip_frame = 'DEFAULT' if targets is None or position in targets else 'NONREF'
            frames = context.decode(packet)
            returned += len(frames)
            if returned:
                delay = min(delay, position + 1 - start - returned)
            yield from self._whole(frames, first_pts)
        frames = context.decode(None)
        if self._repeats and len(frames) > delay:
            raise DamageError('the last packet holds no frame')  # it is the one before, again
        yield from self._whole(frames, first_pts)

    def _whole(self, frames: Sequence[av.VideoFrame], first_pts: Optional[int],
               ) -> Iterator[av.VideoFrame]:
        """Refuse what the decoder calls corrupt, but for what is shown before its keyframe.

        Such frames refer to the group of pictures before, which the decoder has not seen.
        """
        for frame in frames:
            check_size(frame.width, frame.height, self._max_pixels)
            leading = None not in (first_pts, frame.pts) and frame.pts < first_pts
            if not (leading or self._begun):
                if not frame.key_frame and frame.pict_type in _REFERRING:
                    raise DamageError('it does not begin with a keyframe')
                self._begun = True
            if not frame.is_corrupt:
                yield frame
            elif not leading:
                raise DamageError('the decoder calls a frame corrupt')

    def to_array(self, frame: av.VideoFrame) -> np.ndarray:
        """Return (H, W, 3) uint8 RGB, upright."""
        image = self._reformatter.reformat(frame, format='rgb24', threads=1).to_ndarray()
        matrix = display_matrix(frame)
        return image if matrix is None else displayed(image, matrix)

    def complaints(self) -> AbstractContextManager[list[str]]:
        """See :func:`complaints_of`: what the decoder says."""
        return complaints_of(self._context.name)
