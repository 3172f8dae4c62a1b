"""Reading videos by PyAV, exact to the frame and without decoding more than is needed.

F frames in the file, P packets, T frames read.
"""
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Optional

import av
import numpy as np

from .packet_decoder import DamageError, PacketDecoder
from .video_index import VideoIndex, index_by_decoding, index_packets, open_video
from .video_reader import VideoDecodeError, first_line

# What PyAV raises on files that are none
_UNREADABLE = (av.FFmpegError, OSError, DamageError, ValueError, EOFError, IndexError,
               ArithmeticError, MemoryError)


class PyAVReader:
    """Jumps to the groups of pictures that hold the wanted frames and skips what none refers to.

    Packets are read once; their times are the index. For each wanted frame the decoder gets the
    packets from the last keyframe that is not after it, without those that no other frame refers
    to. What comes is compared with what was asked for by time, so a file that does not keep its
    promises is decoded from its beginning instead, and one that then still does not is damaged.
    One decoder thread: workers are the parallelism. Frames with rotation metadata are turned.

    Args:
        path (str): Video file.
        max_filled (float): Share in [0, 1) of the frames read that may be filled from the nearest
            decodable frame, and of packets that may be missing at the end. Defaults to 0, strict:
            any damage that meets what is read raises.

    Raises:
        VideoDecodeError: If the file cannot be opened, holds no frame, or is truncated (strict).
    """

    def __init__(self, path: str, max_filled: float = 0.0) -> None:
        self.path = path
        self.damage: Optional[str] = None
        self._max_filled = max_filled
        self._container: Optional[av.container.InputContainer] = None
        self._decoder: Optional[PacketDecoder] = None
        try:
            self._container, self._stream = open_video(path)
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

    def _check_index(self) -> None:
        """Refuse what lacks more than may be filled.

        Raises:
            VideoDecodeError: If it does.
        """
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
        index = index_packets(self._container, self._stream)
        self._decoder = PacketDecoder(self._stream, index)
        if index.by_order:
            self._index = index
            frames = self._salvage() if self._max_filled else self._decoder.frames(
                index.start, len(index.packets))
            with self._decoder.complaints() as said:
                index_by_decoding(index, self._stream,
                                  (frame for _, frame in self._numbered(frames)))
            if said:  # it conceals a fault
                if not self._max_filled:
                    raise DamageError(f'the decoder says: {said[0]}')
                self.damage = f'the decoder says: {said[0]}'
        return index

    def read(self, indices: Sequence[int]) -> list[np.ndarray]:
        """See :class:`VideoReader`; a frame is decoded once however often it is asked for.

        Raises:
            VideoDecodeError: If a frame is damaged, or more of them than may be filled.
        """
        numbers = [int(index) for index in indices]
        wanted = set(numbers)
        try:
            found, reason = self._read_exact(wanted)
            if len(found) < len(wanted):
                if not self._max_filled:
                    at = self.times[min(wanted - set(found))]
                    raise VideoDecodeError(self.path, f'frame at {at:.3f} s: {reason}')
                self._fill(found, wanted - set(found), reason)
        except _UNREADABLE as error:
            raise VideoDecodeError(self.path, first_line(error)) from error
        return [found[number] for number in numbers]

    def check(self) -> None:
        """See :class:`VideoReader`."""
        try:
            whole = {number for number, _ in self._from_start(set())} - {-1}
        except _UNREADABLE as error:
            raise VideoDecodeError(self.path, first_line(error)) from error
        if len(whole) < len(self.times):
            at = self.times[min(set(range(len(self.times))) - whole)]
            raise VideoDecodeError(self.path, f'the decoder returns no frame at {at:.3f} s')

    def _read_exact(self, wanted: set[int]) -> tuple[dict[int, np.ndarray], str]:
        """Decode what can be had as the file promises, and say why that is not all."""
        found: dict[int, np.ndarray] = {}
        reason = 'the decoder returns no such frame'
        jumps = [] if self._index.by_order else [self._jump]
        for decode in (*jumps, self._from_start):
            by_this: dict[int, np.ndarray] = {}
            with self._decoder.complaints() as said:
                try:
                    for number, frame in decode(wanted - set(found)):
                        if number in wanted and number not in found:
                            by_this[number] = self._decoder.to_array(frame)
                        if len(found) + len(by_this) == len(wanted):
                            break
                except (av.FFmpegError, DamageError) as error:
                    reason = first_line(error)
            if said:  # it conceals a fault
                reason = f'the decoder says: {said[0]}'
                if not self._max_filled:
                    continue
                self.damage = reason
            found.update(by_this)
            if len(found) == len(wanted):
                break
        return found, reason

    def _jump(self, wanted: set[int]) -> Iterator[tuple[int, av.VideoFrame]]:
        """Decode the groups of pictures that hold frames, and of them what is needed."""
        index = self._index
        groups: dict[int, set[int]] = {}
        for number in sorted(wanted):
            groups.setdefault(index.start_of(number), set()).add(index.positions[number])
        index.hold([(start, max(targets) + 1) for start, targets in groups.items()])
        for start, targets in groups.items():
            yield from self._numbered(self._decoder.frames(start, max(targets) + 1, targets))

    def _from_start(self, wanted: set[int]) -> Iterator[tuple[int, av.VideoFrame]]:
        """Decode everything."""
        return self._numbered(self._decoder.frames(self._index.start, len(self._index.packets)))

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
        start, first_pts = self._index.start, None
        while start < len(self._index.packets):
            try:
                for frame in self._decoder.frames(start, len(self._index.packets)):
                    if first_pts is None or frame.pts is None or frame.pts >= first_pts:
                        yield frame  # what is shown before its keyframe refers to the group before
                return
            except (av.FFmpegError, DamageError) as error:
                self.damage = f'there are faults: {first_line(error)}'
                start, first_pts = self._index.next_key(self._decoder.position)

    def _fill(self, found: dict[int, np.ndarray], missing: set[int], reason: str) -> None:
        """Complete ``found`` by the nearest whole frames.

        Raises:
            VideoDecodeError: If none is whole, or more would be filled than may be.
        """
        nearest: dict[int, tuple[float, int, av.VideoFrame]] = {}
        for number, frame in self._numbered(self._salvage()):
            if number < 0:
                continue
            for wanted in missing:
                distance = abs(self.times[number] - self.times[wanted])
                if wanted not in nearest or distance < nearest[wanted][0]:
                    nearest[wanted] = (distance, number, frame)
        filled = {number for number in missing if number not in nearest
                  or nearest[number][1] != number}
        share = len(filled) / (len(found) + len(missing))
        if len(nearest) < len(missing) or share > self._max_filled:
            raise VideoDecodeError(self.path, f'{len(filled)} of {len(found) + len(missing)} '
                                   f'frames are damaged: {reason}')
        found.update({number: self._decoder.to_array(frame)
                      for number, (_, _, frame) in nearest.items()})
        farthest = max((nearest[number][0] for number in filled), default=0.0)
        self.damage = (f'{len(filled)} of {len(found)} frames are filled from the nearest, '
                       f'{farthest:.2f} s away at most: {reason}')
