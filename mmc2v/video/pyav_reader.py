"""Reading videos by PyAV, exact to the frame and without decoding more than is needed.

F frames in the file, P packets, T frames read.
"""
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import chain
from operator import itemgetter
from typing import Optional

import av
import numpy as np

from .complaints import complaints_of
from .completeness import note_missing
from .opening import open_video
from .packet_decoder import DamageError, PacketDecoder, check_size
from .packet_index import SAYS_WHAT_IT_SKIPS, VideoIndex, index_by_decoding, index_packets
from .reader import MAX_PIXELS, VideoDecodeError, first_line

# What PyAV raises on files that are none
_UNREADABLE = (av.FFmpegError, OSError, DamageError, ValueError, EOFError, IndexError,
               ArithmeticError, MemoryError)

# What demuxers say of whole videos: Matroska's of live recordings (where others should end is
# compared), and all of tables, chapters and attachments that a program wrote carelessly.
_SAID_OF_WHOLE_VIDEOS = ('File ended prematurely', 'Keyframe index parsing failed', 'Missing AMF_',
                         'AMF_DATA_TYPE_', 'Chapter end time', 'incomplete attachment')
# Faults after which the rest counts as lost where a file is opened anew after each, which takes the
# longer the more packets it has.
_MAX_REOPENED = 100


class PyAVReader:
    """Jumps to the groups of pictures that hold the wanted frames and skips what none refers to.

    Packets are read once; their times are the index. For each wanted frame the decoder gets the
    packets from the last keyframe that is not after it, without those that no other frame refers
    to. What comes is compared with what was asked for by time, so a file that does not keep its
    promises is decoded from its beginning instead, and one that then still does not is damaged.
    One decoder thread: workers are the parallelism. Frames with rotation metadata are turned.

    Args:
        path (str): Video file.
        max_filled (float): See :class:`VideoReader`; also the share of packets that may be missing
            at the end. Defaults to 0, strict: any damage that meets what is read raises.
        max_pixels (int): Of a frame. Defaults to 8192 x 8192.

    Raises:
        VideoDecodeError: If the file cannot be opened, holds no frame, or is truncated (strict).
    """

    def __init__(self, path: str, max_filled: float = 0.0,
                 max_pixels: int = MAX_PIXELS) -> None:
        self.path = path
        self.damage: Optional[str] = None
        self._max_filled = max_filled
        self._max_pixels = max_pixels
        self._container: Optional[av.container.InputContainer] = None
        self._decoder: Optional[PacketDecoder] = None
        try:
            self._index = self._make_index()
            self._check_index()
        except _UNREADABLE as error:
            self.close()
            raise VideoDecodeError(path, first_line(error)) from error
        except BaseException:
            self.close()
            raise
        self.times = self._index.times
        self.duration = self._index.duration
        self.delay = self._index.delay

    def _check_index(self) -> None:
        """Raise VideoDecodeError where there is no frame, or less than filling may make up for."""
        if len(self._index.times) == 0:
            raise VideoDecodeError(self.path, 'there is no video frame in it')
        if self._index.damage:
            if self._index.missing_share > self._max_filled:
                raise VideoDecodeError(self.path, self._index.damage)
            self.damage = self._index.damage

    def close(self) -> None:
        """See :class:`VideoReader`. Containers and streams refer to each other, so that without it
        their memory and descriptors stay until the garbage collector comes.
        """
        if self._decoder is not None:
            self._decoder.close()
        if self._container is not None:
            self._container.close()
        self._decoder = self._container = self._stream = self._index = None

    def __del__(self) -> None:
        """Close what nobody closed."""
        self.close()

    def _make_index(self) -> VideoIndex:
        with complaints_of(*SAYS_WHAT_IT_SKIPS) as skipped:
            self._container, self._stream = open_video(self.path)
            declared = self._stream.codec_context
            check_size(declared.width, declared.height, self._max_pixels)
            index = index_packets(self._container, self._stream)
        index.skipped = next(
            (text for text in skipped if not text.startswith(_SAID_OF_WHOLE_VIDEOS)), None)
        self._decoder = PacketDecoder(self._stream, index, self._max_pixels)
        self._lost = 0
        if index.by_order:
            self._index = index
            frames = self._salvage() if self._max_filled else self._decoder.frames(
                index.start, len(index.packets))
            with self._decoder.complaints() as complaints:
                index_by_decoding(index, self._stream,
                                  (frame for _, frame in self._numbered(frames)))
            if complaints:  # it conceals a fault
                if not self._max_filled:
                    raise DamageError(f'the decoder says: {complaints[0]}')
                self.damage = f'the decoder says: {complaints[0]}'
        note_missing(index, self._container, self._stream, self._lost)
        return index

    def read(self, indices: Sequence[int]) -> list[np.ndarray]:
        """See :class:`VideoReader`; a frame is decoded once however often it is asked for."""
        found = dict(self.decode(indices))
        return [found[int(index)] for index in indices]

    def decode(self, indices: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        """See :class:`VideoReader`.

        Raises:
            VideoDecodeError: If a frame is damaged, or more of them than may be filled.
        """
        missing = {int(index) for index in indices}
        number_wanted = len(missing)
        reason = 'the decoder returns no such frame'
        try:
            for wanted, frames, is_last in self._attempts(missing):
                arrived: set[int] = set()
                with self._decoder.complaints() as complaints:
                    try:
                        for number, frame in self._numbered(frames):
                            if number in wanted and number not in arrived:
                                image = self._decoder.to_array(frame)
                                arrived.add(number)
                                yield number, image
                            if len(arrived) == len(wanted):
                                break
                    except (av.FFmpegError, DamageError) as error:
                        reason = first_line(error)
                if complaints:  # it conceals a fault
                    reason = f'the decoder says: {complaints[0]}'
                    if not (self._max_filled and is_last):
                        continue
                    self.damage = reason
                missing -= arrived
            if missing and not self._max_filled:
                at = self.times[min(missing)]
                raise VideoDecodeError(self.path, f'frame at {at:.3f} s: {reason}')
            if missing:
                yield from self._fill(sorted(missing), number_wanted, reason)
        except _UNREADABLE as error:
            raise VideoDecodeError(self.path, first_line(error)) from error

    def check(self) -> None:
        """See :class:`VideoReader`."""
        try:
            whole = {number for number, _ in self._numbered(self._from_start())} - {-1}
        except _UNREADABLE as error:
            raise VideoDecodeError(self.path, first_line(error)) from error
        if len(whole) < len(self.times):
            at = self.times[min(set(range(len(self.times))) - whole)]
            raise VideoDecodeError(self.path, f'the decoder returns no frame at {at:.3f} s')

    def _attempts(self, missing: set[int],
                  ) -> Iterator[tuple[set[int], Iterator[av.VideoFrame], bool]]:
        """Decode each group of pictures that holds frames, and then all if some still miss.

        Args:
            missing (set[int]): Numbers of frames; whoever asks takes out what has arrived.

        Yields:
            tuple: Numbers that are wanted, frames among which they are, whether this is the last.
        """
        index = self._index
        if not index.by_order:
            groups: dict[int, set[int]] = {}
            for number in sorted(missing):
                groups.setdefault(index.start_of(number), set()).add(number)
            targets = {start: {index.positions[number] for number in numbers}
                       for start, numbers in groups.items()}
            for start, stop in index.in_parts([(start, max(those) + 1)
                                               for start, those in targets.items()]):
                yield groups[start], self._decoder.frames(start, stop, targets[start]), False
        if missing:
            yield set(missing), self._from_start(), True

    def _from_start(self) -> Iterator[av.VideoFrame]:
        return self._decoder.frames(self._index.start, len(self._index.packets))

    def _numbered(self, frames: Iterator[av.VideoFrame]) -> Iterator[tuple[int, av.VideoFrame]]:
        """Number all frames of the file by time, or by order where times do not tell them."""
        order, last = 0, None
        for frame in frames:
            if not self._index.by_order:
                yield self._number_of(frame), frame
                continue
            if None not in (last, frame.pts) and frame.pts <= last and not self._index.timeless:
                fault = f'times go back to {float(frame.pts * self._stream.time_base):.3f} s'
                if not self._max_filled:
                    raise DamageError(fault)
                self.damage = fault
                continue  # repeated, or of a recording that was joined to another
            yield order, frame
            order, last = order + 1, frame.pts

    def _number_of(self, frame: av.VideoFrame) -> int:
        """Return the number of the frame that is shown at this very time, or -1."""
        pts = self._index.pts
        number = bisect_left(pts, frame.pts) if frame.pts is not None else len(pts)
        return number if number < len(pts) and pts[number] == frame.pts else -1

    def _salvage(self) -> Iterator[av.VideoFrame]:
        """Decode all groups of pictures, each up to its first fault."""
        start, first_pts, faults = self._index.start, None, 0
        while start < len(self._index.packets):
            try:
                for frame in self._decoder.frames(start, len(self._index.packets)):
                    if first_pts is None or frame.pts is None or frame.pts >= first_pts:
                        yield frame  # what is shown before its keyframe refers to the group before
                return
            except (av.FFmpegError, DamageError) as error:
                self.damage = f'there are faults: {first_line(error)}'
                start, first_pts = self._index.next_key(self._decoder.position)
                faults += 1
                if faults == _MAX_REOPENED and not self._index.flushes:
                    start = len(self._index.packets)
                self._lost += start - self._decoder.position

    def _fill(self, missing: Sequence[int], number_wanted: int, reason: str,
              ) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the nearest whole frames for those that miss, in one pass.

        Raises:
            VideoDecodeError: If none is whole, or more would be filled than may be.
        """
        waiting, filled, farthest = deque(missing), 0, 0.0
        before: Optional[tuple[int, av.VideoFrame]] = None
        for after in chain(self._ascending(), [None]):
            while waiting and (after is None or waiting[0] <= after[0]):
                wanted = waiting.popleft()
                distances = [(abs(self.times[number] - self.times[wanted]), number, frame)
                             for number, frame in filter(None, (before, after))]
                if not distances:
                    raise VideoDecodeError(self.path, f'no frame is whole: {reason}')
                distance, number, frame = min(distances, key=itemgetter(0))
                filled += number != wanted
                farthest = max(farthest, distance)
                yield wanted, self._decoder.to_array(frame)
            before = after
        if filled > self._max_filled * number_wanted:
            raise VideoDecodeError(
                self.path, f'{filled} of {number_wanted} frames are damaged: {reason}')
        self.damage = (f'{filled} of {number_wanted} frames are filled from the nearest, '
                       f'{farthest:.2f} s away at most: {reason}'
                       + (f'; {self._index.damage}' if self._index.damage else ''))

    def _ascending(self) -> Iterator[tuple[int, av.VideoFrame]]:
        """Salvage frames that have a number, each later than the one before."""
        last = -1
        for number, frame in self._numbered(self._salvage()):
            if number > last:
                yield number, frame
                last = number
