"""Which frames a video file promises, read from its packets without decoding.

F frames, P packets in the order of decoding.
"""
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, pairwise
from math import inf
from operator import itemgetter
from typing import NamedTuple, Optional

import av
import numpy as np

from .opening import MAX_GAP, PROTOCOL, delay_of, open_container
from .reader import first_line

# Codecs whose frames are known by the time of their packet, one for one.
_ONE_FRAME_A_PACKET = {'av1', 'h264', 'hevc', 'mjpeg', 'mpeg1video', 'mpeg2video', 'mpeg4', 'vp9'}
_INTRA_ONLY = {'mjpeg'}
# Containers that may say when a frame is decoded, and not when it is shown.
_DECODING_TIMES = {'asf', 'mxf'}
# Further codecs whose decoders say which frames are keyframes.
_TELLS_KEYFRAMES = _ONE_FRAME_A_PACKET | {'flv1', 'h263', 'msmpeg4v2', 'msmpeg4v3', 'theora', 'vp8',
                                          'wmv1', 'wmv2'}
# Containers whose header says how long the file is.
SAYS_DURATION = {'asf', 'flv', 'matroska', 'mxf', 'nut'}
# Demuxers that call an error what they cannot read of a file, and little else.
SAYS_WHAT_IT_SKIPS = ('asf', 'flv', 'matroska,webm', 'nut')
# Containers that may be joined byte by byte, and packets by which new times are told from damage.
_TIMES_MAY_BEGIN_ANEW, _SETTLED = {'mpeg', 'mpegts'}, 8
# Keyframes before a frame that are looked at; where none serves, decoding begins at the start.
_MAX_STEPS_BACK = 16
# Compressed bytes that a reader keeps; of larger files it reads what it needs a second time.
MAX_HELD_BYTES = 256 * 2 ** 20


@dataclass
class VideoIndex:
    """Frames and packets of a file.

    Attributes:
        packets (list[av.Packet | None]): (P,) none where a large file is not held in memory.
        sizes (list[int]): (P,) bytes of each packet.
        positions (list[int]): (F,) packet of each frame.
        pts (list[int]): (F,) presentation times, ascending, in units of the stream.
        times (np.ndarray): (F,) seconds at which frames are first shown, from 0.
        duration (float): Seconds from the first frame to the end of the last.
        delay (float): Seconds from where the file begins, as players count, to its first frame.
        decoding_times (list[int]): (P,) when packets are decoded, where the times at which frames
            are shown are not all there and these are.
        empty_chunks (int): Of avi: the most that stand for frames that are shown longer.
        start (int): Packet at which decoding can begin: the first keyframe.
        flushes (bool): The decoder forgets where it is told to, or calls what it begins with no
            keyframe.
        by_order (bool): Frames cannot be told by time; ``pts`` and ``positions`` mean nothing.
        timeless (bool): The container has no times of its own (avi), or those of decoding (asf,
            mxf, and MPEG program streams, which name the times of some frames alone).
        shown_duration (float): Seconds for which the packets say that they are shown.
        end (float): Seconds at which the last packet of any stream ends, if the container says how
            long it is.
        interruption (str, optional): Why reading ended early.
        skipped (str, optional): What the demuxer could not read and went on behind.
        missing_share (float): Share of the declared packets that is not there.
        damage (str, optional): What is missing.
    """

    path: str
    stream_index: int
    keys: list[tuple[int, int]] = field(default_factory=list)  # position and pts of keyframes
    packets: list[Optional[av.Packet]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    pts: list[int] = field(default_factory=list)
    times: np.ndarray = field(default_factory=lambda: np.zeros(0))
    duration: float = 0.0
    delay: float = 0.0
    decoding_times: list[int] = field(default_factory=list)
    empty_chunks: int = 0
    start: int = 0
    flushes: bool = True
    by_order: bool = False
    timeless: bool = False
    shown_duration: float = 0.0
    end: float = 0.0
    interruption: Optional[str] = None
    skipped: Optional[str] = None
    missing_share: float = 0.0
    damage: Optional[str] = None

    def start_of(self, number: int) -> int:
        """Return the packet from which decoding yields a frame: a keyframe not after it."""
        after = bisect_right(self.keys, self.positions[number], key=itemgetter(0))
        for position, pts in reversed(self.keys[max(0, after - _MAX_STEPS_BACK):after]):
            if pts <= self.pts[number]:
                return position
        return self.start

    def next_key(self, position: int) -> tuple[int, int]:
        """Return position and pts of the first keyframe after a packet; P where there is none."""
        number = bisect_right(self.keys, position, key=itemgetter(0))
        return self.keys[number] if number < len(self.keys) else (len(self.packets), 0)

    def read(self, start: int, stop: int) -> Iterator[av.Packet]:
        """Yield packets, from the file where they are not held."""
        for position in range(start, min(stop, len(self.packets))):
            packet = self.packets[position]
            if packet is None:
                with open_container(self.path) as container:
                    stream = container.streams[self.stream_index]
                    packets = (packet for packet in container.demux(stream) if packet.size)
                    yield from islice(packets, position, stop)  # PyAV ends with an empty one
                return
            yield packet

    def in_parts(self, runs: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        """Yield runs of packets; those of a large file are in memory then, a part at a time.

        Args:
            runs (Sequence[tuple[int, int]]): First packet and the one after the last of each.
        """
        part: list[tuple[int, int]] = []
        room = MAX_HELD_BYTES
        for start, stop in runs:
            size = sum(self.sizes[start:stop])
            if part and size > room:
                yield from self._held(part)
                part, room = [], MAX_HELD_BYTES
            part.append((start, stop))
            room -= size
        yield from self._held(part)

    def _held(self, runs: Sequence[tuple[int, int]]) -> Sequence[tuple[int, int]]:
        """Read what some runs have, in one pass, where the file is not held as a whole."""
        if None in self.packets:
            inside = np.zeros(len(self.packets), bool)
            for start, stop in runs:
                inside[start:stop] = True
            self.packets = [None] * len(self.packets)  # let go of the part before
            for position, packet in enumerate(self.read(0, int(inside.nonzero()[0].max()) + 1)):
                self.packets[position] = packet if inside[position] else None
        return runs


class _Times(NamedTuple):
    """When a packet is shown and decoded, for how long, and whether no edit list cuts it off."""

    pts: Optional[int]
    dts: Optional[int]
    duration: int
    is_shown: bool


def index_packets(container: av.container.InputContainer, stream: av.VideoStream) -> VideoIndex:
    """Read all packets of a file.

    Args:
        container (av.container.InputContainer): From :func:`open_video`.
        stream (av.VideoStream): Its video.

    Returns:
        VideoIndex: Without ``times`` where ``by_order`` is set.
    """
    index = VideoIndex(container.name.removeprefix(PROTOCOL), stream.index)
    packets = _read_packets(index, container, stream)
    if container.format.name in _TIMES_MAY_BEGIN_ANEW:
        _cut_at_joint(index, packets, stream)
    shown = {packet.pts: position for position, packet in enumerate(packets) if packet.is_shown}
    durations = [(packet.pts, packet.duration) for packet in packets if packet.is_shown]
    decoded = [packet.dts for packet in packets]
    codec = stream.codec_context.codec.canonical_name
    if container.format.name == 'mpeg' and (None in shown or len(shown) < len(durations)):
        index.decoding_times = _even_times(decoded)
    if container.format.name == 'avi' and None not in decoded:  # which counts chunks
        empty = [b - a - 1 for a, b in pairwise(decoded) if b > a]
        index.empty_chunks = sum(empty) + max(empty, default=0)  # also after the last
    index.flushes = codec in _TELLS_KEYFRAMES
    index.timeless = container.format.name == 'avi' or bool(index.decoding_times) or (
        container.format.name in _DECODING_TIMES and stream.codec_context.has_b_frames
        and None not in shown and list(shown) == sorted(shown))
    index.by_order = (None in shown or len(shown) < len(durations)
                      or codec not in _ONE_FRAME_A_PACKET
                      or (index.timeless and codec not in _INTRA_ONLY))
    if not index.by_order and shown:
        index.pts, index.positions = map(list, zip(*sorted(shown.items())))
        _set_times(index, index.pts, max(durations)[1], stream)
    index.shown_duration = float(sum(duration for _, duration in durations) * stream.time_base)
    return index


def _read_packets(index: VideoIndex, container: av.container.InputContainer, stream: av.VideoStream,
                  ) -> list[_Times]:
    """Put packets, keyframes and ends into an index, up to where the file breaks off.

    Returns:
        list[_Times]: Of each packet.
    """
    held = 0
    times: list[_Times] = []
    keys: list[int] = []
    # where the header says how long all streams are, their ends count, too
    says_duration = not SAYS_DURATION.isdisjoint(container.format.name.split(','))
    try:
        for packet in container.demux(*([] if says_duration else [stream])):
            if packet.pts is not None and packet.size:
                end = float((packet.pts + (packet.duration or 0)) * packet.time_base)
                index.end = max(index.end, end)
            if packet.stream_index != stream.index or not packet.size:
                continue
            position = len(index.packets)
            held += packet.size
            index.sizes.append(packet.size)
            times.append(_Times(packet.pts, packet.dts, packet.duration or 0,
                                not packet.is_discard))
            if held > MAX_HELD_BYTES and index.packets and index.packets[0] is not None:
                index.packets = [None] * position
            index.packets.append(packet if held <= MAX_HELD_BYTES else None)
            if packet.is_keyframe:
                keys.append(position)
                if packet.pts is not None:
                    index.keys.append((position, packet.pts))
    except (av.FFmpegError, IndexError) as error:  # PyAV does not know streams that begin later
        index.interruption = f'after {len(index.packets)} packets: {first_line(error)}'
    index.start = keys[0] if keys else 0
    return times


def _cut_at_joint(index: VideoIndex, packets: list[_Times], stream: av.VideoStream) -> None:
    """Leave out what follows the first of several recordings that were joined byte by byte."""
    decoded = [-inf if packet.dts is None else packet.dts for packet in packets]
    second = float(1 / stream.time_base)
    for number in range(2, len(decoded) - 1):
        before = min(decoded[number - 2], decoded[number - 1])  # one of them may be damaged
        if decoded[number] < before - second > max(decoded[number:number + _SETTLED]):
            break
    else:
        return
    del packets[number:], index.packets[number:], index.sizes[number:]
    index.keys = [key for key in index.keys if key[0] < number]
    index.interruption = ('times begin anew: it is of several recordings, of which the first is '
                          'read')


def _set_times(index: VideoIndex, pts: Sequence[int], last_duration: Optional[int],
               stream: av.VideoStream) -> None:
    seconds = np.asarray(pts, dtype=np.float64) * float(stream.time_base)
    index.times = seconds - seconds[0]
    gaps = np.diff(seconds)
    if (gap := gaps.max(initial=0)) > MAX_GAP or not np.isfinite(seconds).all():
        raise ValueError(f'its times are damaged: two frames are {gap:.0f} s apart')
    index.delay = delay_of(stream.container, float(seconds[0]))
    last = float((last_duration or 0) * stream.time_base)
    if last <= 0:  # not all files say how long the last frame is shown
        last = float(np.median(gaps)) if len(gaps) else float(1 / (stream.average_rate or 25))
    index.duration = float(index.times[-1]) + last


def _even_times(decoded: Sequence[Optional[int]]) -> list[int]:
    """Return ascending times of a program stream, which names those of some packets alone.

    FFmpeg counts on from those, and is one frame ahead or behind for a while.

    Args:
        decoded (Sequence[int | None]): When each packet is decoded, by FFmpeg.

    Returns:
        list[int]: As many; empty where they are no such times.
    """
    if None in decoded or len(decoded) < 2:
        return []
    steps = np.diff(decoded)
    if (steps > 0).all():
        return list(decoded)
    even = decoded[0] + int(np.median(steps)) * np.arange(len(decoded))
    is_even = np.abs(decoded - even).max() <= np.median(steps) and decoded[-1] == even[-1]
    return even.tolist() if is_even else []


def index_by_decoding(index: VideoIndex, stream: av.VideoStream,
                      frames: Iterator[av.VideoFrame]) -> None:
    """Complete an index by the frames that the decoder returns, where packets do not tell them.

    Args:
        index (VideoIndex): With ``by_order`` set; completed in place.
        stream (av.VideoStream): Its video.
        frames (Iterator[av.VideoFrame]): All frames of the file.
    """
    pts = [frame.pts for frame in frames]
    if len(pts) == len(index.decoding_times):  # frames come in order, and at the same distances
        pts = index.decoding_times
    if len(set(pts) - {None}) < len(pts):  # by its format such a file has a constant rate
        rate = stream.average_rate or 25
        pts = [round(number / (rate * stream.time_base)) for number in range(len(pts))]
    if pts:
        # packed B-frames in avi come in order, with times of one another
        _set_times(index, sorted(pts), None, stream)
