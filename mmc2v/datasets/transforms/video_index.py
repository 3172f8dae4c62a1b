"""Which frames a video file promises, read from its packets without decoding.

F frames, P packets in the order of decoding.
"""
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Optional

import av
import numpy as np

# Codecs whose frames are known by the time of their packet, one for one.
_ONE_FRAME_A_PACKET = {'av1', 'h264', 'hevc', 'mjpeg', 'mpeg1video', 'mpeg2video', 'mpeg4', 'vp9'}
_INTRA_ONLY = {'mjpeg'}
# Compressed bytes that a reader keeps; of larger files it reads what it needs a second time.
_MAX_HELD_BYTES = 256 * 2 ** 20


def open_video(path: str) -> tuple[av.container.InputContainer, av.VideoStream]:
    """Open a file and find its video.

    Raises:
        av.FFmpegError: If it is no media file.
        ValueError: If there is no video in it, or none that can be decoded.
    """
    container = av.open(path, metadata_errors='ignore')
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:  # covers of music
            if stream.codec_context is None:
                raise ValueError('there is no decoder for its codec')
            return container, stream
    raise ValueError('there is no video stream in it')


@dataclass
class VideoIndex:
    """Frames and packets of a file.

    Attributes:
        positions (list[int]): (F,) packet of each frame.
        pts (list[int]): (F,) presentation times, ascending, in units of the stream.
        times (np.ndarray): (F,) seconds at which frames are first shown, from 0.
        duration (float): Seconds from the first frame to the end of the last.
        by_order (bool): Frames cannot be told by time; ``pts`` and ``positions`` mean nothing.
        missing_share (float): Share of the declared packets that is not there.
        damage (str, optional): What is missing.
    """

    path: str
    stream_index: int
    keys: list[tuple[int, int]] = field(default_factory=list)  # position and pts of keyframes
    packets: list[Optional[av.Packet]] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    pts: list[int] = field(default_factory=list)
    times: np.ndarray = field(default_factory=lambda: np.zeros(0))
    duration: float = 0.0
    by_order: bool = False
    missing_share: float = 0.0
    damage: Optional[str] = None

    def start_of(self, number: int) -> int:
        """Return the packet from which decoding yields a frame: a keyframe not after it."""
        before = [position for position, pts in self.keys
                  if position <= self.positions[number] and pts <= self.pts[number]]
        return before[-1] if before else 0

    def next_key(self, position: int) -> tuple[int, int]:
        """Return position and pts of the first keyframe after a packet; P where there is none."""
        return next((key for key in self.keys if key[0] > position), (len(self.packets), 0))

    def read(self, start: int, stop: int) -> Iterator[av.Packet]:
        """Yield packets, from the file where they are not held."""
        held = self.packets[start:stop]
        if None not in held:
            yield from held
            return
        with av.open(self.path, metadata_errors='ignore') as container:
            yield from islice(_demux(container, container.streams[self.stream_index]), start, stop)

    def hold(self, runs: Sequence[tuple[int, int]]) -> None:
        """Read what a large file has in some runs of packets, in one pass."""
        if None in self.packets:
            inside = np.zeros(len(self.packets), bool)
            for start, stop in runs:
                inside[start:stop] = True
            for position, packet in enumerate(self.read(0, int(inside.nonzero()[0].max()) + 1)):
                self.packets[position] = packet if inside[position] else None


def _demux(container: av.container.InputContainer, stream: av.VideoStream) -> Iterator[av.Packet]:
    for packet in container.demux(stream):
        if packet.size:  # PyAV ends with an empty one
            yield packet


def index_packets(container: av.container.InputContainer, stream: av.VideoStream) -> VideoIndex:
    """Read all packets of a file.

    Args:
        container (av.container.InputContainer): From :func:`open_video`.
        stream (av.VideoStream): Its video.

    Returns:
        VideoIndex: Without ``times`` where ``by_order`` is set.
    """
    index = VideoIndex(container.name, stream.index)
    held, reason = 0, None
    shown: dict[Optional[int], int] = {}  # pts -> position
    ends, num_shown = [], 0
    try:
        for position, packet in enumerate(_demux(container, stream)):
            held += packet.size
            index.packets.append(packet)
            if packet.is_keyframe and packet.pts is not None:
                index.keys.append((position, packet.pts))
            if not packet.is_discard:  # cut off by an edit list
                num_shown += 1
                shown[packet.pts] = position
                ends.append((packet.pts, packet.duration))
    except av.FFmpegError as error:
        reason = f'after {len(index.packets)} packets: {error.strerror}'
    if held > _MAX_HELD_BYTES:
        index.packets = [None] * len(index.packets)
    _note_truncation(index, container, stream, reason)
    codec = stream.codec_context.codec.canonical_name
    in_avi = container.format.name == 'avi'  # which has no times: they are guessed
    index.by_order = (None in shown or len(shown) < num_shown or codec not in _ONE_FRAME_A_PACKET
                      or (in_avi and codec not in _INTRA_ONLY))
    if not index.by_order and shown:
        index.pts, index.positions = map(list, zip(*sorted(shown.items())))
        _set_times(index, index.pts, max(ends)[1], stream)
    return index


def _set_times(index: VideoIndex, pts: Sequence[int], last_duration: Optional[int],
               stream: av.VideoStream) -> None:
    seconds = np.asarray(pts, dtype=np.float64) * float(stream.time_base)
    index.times = seconds - seconds[0]
    last = float((last_duration or 0) * stream.time_base)
    if last <= 0:  # not all files say how long the last frame is shown
        gaps = np.diff(seconds)
        last = float(np.median(gaps)) if len(gaps) else float(1 / (stream.average_rate or 25))
    index.duration = float(index.times[-1]) + last


def index_by_decoding(index: VideoIndex, stream: av.VideoStream,
                      frames: Iterator[av.VideoFrame]) -> VideoIndex:
    """Complete an index by the frames that the decoder returns, where packets do not tell them.

    Args:
        index (VideoIndex): With ``by_order`` set; completed in place.
        stream (av.VideoStream): Its video.
        frames (Iterator[av.VideoFrame]): All frames of the file.

    Returns:
        VideoIndex: The index.
    """
    pts = [frame.pts for frame in frames]
    known = {time for time in pts if time is not None}
    if len(known) < len(pts):  # by its format such a file has a constant rate
        rate = stream.average_rate or 25
        pts = [round(number / (rate * stream.time_base)) for number in range(len(pts))]
    if pts:
        # packed B-frames come in order, with times of one another
        _set_times(index, sorted(pts), None, stream)
    return index


def _note_truncation(index: VideoIndex, container: av.container.InputContainer,
                     stream: av.VideoStream, reason: Optional[str]) -> None:
    """Compare what is there with what the file declares."""
    found = len(index.packets)
    declared = stream.frames
    if 'mp4' in container.format.name.split(','):
        # after edit lists, which may leave samples out; zero in fragmented files
        declared = len(stream.index_entries)
    corrupt = any(packet is not None and packet.is_corrupt for packet in index.packets[-1:])
    if reason is None and found >= declared and not corrupt:
        return
    index.missing_share = max(0.0, 1 - (found - corrupt) / max(declared, found, 1))
    index.damage = f'{found - corrupt} of {max(declared, found)} video packets are there' + (
        f' ({reason})' if reason else '')
