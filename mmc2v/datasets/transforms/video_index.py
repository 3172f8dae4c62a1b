"""Which frames a video file promises, read from its packets without decoding.

F frames, P packets in the order of decoding.
"""
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Optional

import av
import numpy as np

from .video_reader import first_line

# Codecs whose frames are known by the time of their packet, one for one.
_ONE_FRAME_A_PACKET = {'av1', 'h264', 'hevc', 'mjpeg', 'mpeg1video', 'mpeg2video', 'mpeg4', 'vp9'}
_INTRA_ONLY = {'mjpeg'}
# Compressed bytes that a reader keeps; of larger files it reads what it needs a second time.
_MAX_HELD_BYTES = 256 * 2 ** 20


def open_container(path: str) -> av.container.InputContainer:
    """Open a media file, whatever the encoding of its metadata.

    Before PyAV 19 bytes that are no UTF-8 in a title would otherwise be an error; since then they
    never are, and the argument is gone.

    Args:
        path (str): The file.

    Raises:
        av.FFmpegError: If it is no media file.
    """
    if int(av.__version__.split('.')[0]) < 19:
        return av.open(path, metadata_errors='ignore')
    return av.open(path)


def open_video(path: str) -> tuple[av.container.InputContainer, av.VideoStream]:
    """Open a file and find its video.

    Raises:
        av.FFmpegError: If it is no media file.
        ValueError: If there is no video in it, or none that can be decoded.
    """
    container = open_container(path)
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
        timeless (bool): The container has no times of its own (avi).
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
    timeless: bool = False
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
        with open_container(self.path) as container:
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


def is_whole_jpeg(data: bytes) -> bool:
    """Say whether an image has all its segments, which FFmpeg does not ask of Motion JPEG.

    From one without a scan it returns whatever was in memory: an earlier frame.

    Args:
        data (bytes): From start of image to end of image.
    """
    place, has_frame = 2, False
    while data[:2] == b'\xff\xd8' and place + 4 <= len(data) and data[place] == 0xff:
        marker = data[place + 1]
        if marker == 0xda:  # start of scan
            return has_frame and b'\xff\xd9' in data.rstrip(b'\0')[-16:]
        has_frame = has_frame or marker in (0xc0, 0xc1, 0xc2, 0xc3)
        place += 2 + int.from_bytes(data[place + 2:place + 4], 'big')
    return False


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
    durations: list[tuple[Optional[int], int]] = []
    try:
        for position, packet in enumerate(_demux(container, stream)):
            held += packet.size
            index.packets.append(packet)
            if packet.is_keyframe and packet.pts is not None:
                index.keys.append((position, packet.pts))
            if not packet.is_discard:  # cut off by an edit list
                shown[packet.pts] = position
                durations.append((packet.pts, packet.duration or 0))
    except (av.FFmpegError, IndexError) as error:  # PyAV does not know streams that begin later
        reason = f'after {len(index.packets)} packets: {first_line(error)}'
    if held > _MAX_HELD_BYTES:
        index.packets = [None] * len(index.packets)
    codec = stream.codec_context.codec.canonical_name
    index.timeless = container.format.name == 'avi'
    index.by_order = (None in shown or len(shown) < len(durations)
                      or codec not in _ONE_FRAME_A_PACKET
                      or (index.timeless and codec not in _INTRA_ONLY))
    if not index.by_order and shown:
        index.pts, index.positions = map(list, zip(*sorted(shown.items())))
        _set_times(index, index.pts, max(durations)[1], stream)
    _note_missing(index, container, stream, sum(duration for _, duration in durations), reason)
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
    if len(set(pts) - {None}) < len(pts):  # by its format such a file has a constant rate
        rate = stream.average_rate or 25
        pts = [round(number / (rate * stream.time_base)) for number in range(len(pts))]
    if pts:
        # packed B-frames in avi come in order, with times of one another
        _set_times(index, sorted(pts), None, stream)
    return index


def _note_missing(index: VideoIndex, container: av.container.InputContainer,
                  stream: av.VideoStream, shown_duration: int, reason: Optional[str]) -> None:
    """Compare what is there with what the file declares."""
    formats = container.format.name.split(',')
    found = expected = len(index.packets)
    if 'mp4' in formats and stream.frames:  # none are declared in fragmented files
        # Edit lists leave samples out, also of the duration; a damaged table of samples does not.
        expected = max(found, len(stream.index_entries))
        mean = shown_duration / max(1, len(index.times))
        if mean and stream.duration and stream.duration - shown_duration > 2.5 * mean:
            expected = max(expected, round(stream.duration / mean))
    elif 'mp4' not in formats:
        expected = max(found, stream.frames)
    if 'matroska' in formats and container.duration and len(index.times):
        # audio may be longer than its video, but not by much
        alone = len(container.streams) == 1
        missing = container.duration / 1e6 - index.duration
        mean = index.duration / len(index.times)
        if missing > (2.5 * mean if alone else max(1.0, index.duration / 10)):
            expected += round(missing / mean)
    if 'mpegts' in formats and len(index.pts) > 2:  # a packet that is lost leaves a gap alone
        gaps = np.diff(index.pts)
        expected += int(np.round(gaps / np.median(gaps) - 1).sum())
    if index.timeless and 0 < stream.frames < found:  # times are counted, so all may be wrong
        expected = stream.frames
    if found != expected or reason is not None:
        index.missing_share = abs(1 - found / max(1, expected))
        index.damage = f'{found} of {expected} video packets are there' + (
            f' ({reason})' if reason else '')
