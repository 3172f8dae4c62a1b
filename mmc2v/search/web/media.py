"""Pictures, playable moments and queries made of videos, in a process that may end badly.

T frames of a query, H x W pixels.
"""
import io
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any, Optional

import av
import numpy as np
from av.audio.resampler import AudioResampler
from av.video.reformatter import VideoReformatter
from PIL import Image

from mmc2v.video import MAX_PIXELS
from mmc2v.video.opening import open_container, open_video
from mmc2v.video.packet_decoder import check_size, display_matrix, displayed
from mmc2v.video.pyav_reader import PyAVReader

# What every browser plays: containers and codecs.
_H264_PROFILES = ('Baseline', 'Constrained Baseline', 'Main', 'High')
_MP4_AUDIO, _WEBM_AUDIO = {'aac', 'mp3'}, {'opus', 'vorbis'}
# Pixels of pictures and playable moments, and frames a second of the latter.
_PICTURE_WIDTH, _MOMENT_SIDE, _MOMENT_RATE = 480, 720, 30
_SOUND_RATE = 48000
# Seconds that a frame may miss the one that was asked for before the file is read from its start.
_SLACK = 2.0
# Ticks a second of made moments.
_TICKS = 90000


def begin() -> tuple[dict[str, Any], bytes]:
    """Do nothing, so that the process has begun."""
    return {}, b''


def probe(path: str) -> tuple[dict[str, Any], bytes]:
    """Say how browsers can play a file.

    Args:
        path (str): The file.

    Returns:
        tuple: ``kind``, the type of content if all browsers play it as it is, otherwise None.
    """
    container, stream = open_video(path)
    with container:
        sounds = {sound.codec_context.name if sound.codec_context else 'unknown'
                  for sound in container.streams.audio}
        video, context = stream.codec_context.name, stream.codec_context
        kind = None
        if 'mp4' in container.format.name and sounds <= _MP4_AUDIO:
            if (video == 'h264' and context.profile in _H264_PROFILES
                    and context.pix_fmt in ('yuv420p', 'yuvj420p')) or (
                        'av1' in video and context.pix_fmt == 'yuv420p'):
                kind = 'video/mp4'
        elif 'webm' in container.format.name and _is_webm(path) and sounds <= _WEBM_AUDIO and (
                video in ('vp8', 'vp9', 'libvpx', 'libvpx-vp9') or 'av1' in video):
            kind = 'video/webm'
        return dict(kind=kind), b''


def _is_webm(path: str) -> bool:
    """Whether a Matroska file says in its header that it is WebM."""
    with open(path, 'rb') as file:
        return b'\x42\x82\x84webm' in file.read(64)


def picture(path: str, seconds: float) -> tuple[dict[str, Any], bytes]:
    """Return the frame that is shown at a time, as a JPEG.

    Args:
        path (str): The file.
        seconds (float): From where the file begins, as players count.

    Returns:
        tuple: ``width`` and ``height``, and the picture.
    """
    image = _frame_at(path, seconds)
    if image.width > _PICTURE_WIDTH:
        image = image.resize((_PICTURE_WIDTH, max(1, round(
            image.height * _PICTURE_WIDTH / image.width))), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, 'JPEG', quality=82, progressive=True)
    return dict(width=image.width, height=image.height), file.getvalue()


def _frame_at(path: str, seconds: float) -> Image.Image:
    """Jump to a frame; where the file does not allow that, read it as when it was indexed."""
    try:
        with _Jump(path, seconds) as jump:
            last = None
            for at, frame in jump.frames():
                if last is not None and at > seconds:
                    break
                last = frame
            if last is not None:
                return Image.fromarray(jump.image(last))
    except (av.FFmpegError, ValueError):
        pass
    reader = PyAVReader(path, 0.9)
    try:
        times = reader.times + reader.delay
        number = max(0, int(np.searchsorted(times, seconds, 'right')) - 1)
        return Image.fromarray(reader.read([number])[0])
    finally:
        reader.close()


class _Jump:
    """A video that is open at a time.

    Args:
        path (str): The file.
        seconds (float): From where the file begins.
    """

    def __init__(self, path: str, seconds: float) -> None:
        self._container, self._stream = open_video(path)
        declared = self._stream.codec_context
        check_size(declared.width, declared.height, MAX_PIXELS)
        declared.thread_count = 1
        self._seconds = seconds
        self._reformatter = VideoReformatter()
        self.begin = (self._container.start_time or 0) / av.time_base

    def __enter__(self) -> '_Jump':
        return self

    def __exit__(self, *error: Any) -> None:
        self._container.close()

    def frames(self) -> Iterator[tuple[float, av.VideoFrame]]:
        """Yield frames and their times, from the last one on that is not after the time.

        Raises:
            ValueError: If jumping leads elsewhere, or times are missing.
        """
        if self._seconds > 0:
            self._container.seek(int((self._seconds + self.begin) * av.time_base))
        is_first = True
        for frame in self._container.decode(self._stream):
            if frame.pts is None:
                raise ValueError('frames have no times')
            at = float(frame.pts * self._stream.time_base) - self.begin
            if is_first and at > self._seconds + _SLACK and self._seconds > 0:
                raise ValueError('jumping leads elsewhere')
            check_size(frame.width, frame.height, MAX_PIXELS)
            is_first = False
            yield at, frame

    def size_within(self, side: int) -> tuple[int, int]:
        """Return even width and height, as shown, of which the greater one is at most ``side``."""
        context = self._stream.codec_context
        ratio = self._stream.sample_aspect_ratio
        width = context.width * float(ratio) if ratio and 0.1 < ratio < 10 else context.width
        return _even_within(width, context.height, side)

    def image(self, frame: av.VideoFrame, side: int = 2 * _PICTURE_WIDTH) -> np.ndarray:
        """Return (H, W, 3) uint8 RGB, upright, of square pixels."""
        width, height = self.size_within(side)
        image = self._reformatter.reformat(frame, width, height, 'rgb24', threads=1).to_ndarray()
        matrix = display_matrix(frame)
        return image if matrix is None else displayed(image, matrix)


def moment(path: str, start: float, end: float, target: str) -> tuple[dict[str, Any], bytes]:
    """Write a part of a video as H.264 and AAC in mp4, which every browser plays.

    Args:
        path (str): The file.
        start (float): Seconds from where the file begins.
        end (float): Seconds.
        target (str): File to write.

    Returns:
        tuple: ``seconds``, how long it is.
    """
    sound = _sound(path, start, end)
    try:
        return dict(seconds=_write(target, _moving(path, start, end), sound, start)), b''
    except (av.FFmpegError, ValueError):  # one cannot jump in it, or it is damaged
        return dict(seconds=_write(target, _moving_read(path, start, end), sound, start)), b''


def _write(target: str, frames: Iterator[tuple[float, av.VideoFrame]],
           sound: Sequence[av.AudioFrame], start: float) -> float:
    """Write frames, of which the times are given, and sound; return how long it is."""
    with av.open(target, 'w', format='mp4', options={'movflags': '+faststart'}) as output:
        packets, last = [], 0.0
        stream = None
        for at, image in frames:
            if stream is None:
                stream = _video_stream(output, image.width, image.height)
                voice = _sound_stream(output) if sound else None
            image.pts, image.time_base = round((at - start) * _TICKS), stream.time_base
            last = at - start
            packets += stream.encode(image)
        if stream is None:
            raise ValueError('there is no frame in this part of it')
        packets += stream.encode()
        for frame in sound if voice is not None else ():
            packets += voice.encode(frame)
        if voice is not None:
            packets += voice.encode()
        for packet in sorted((packet for packet in packets if packet.dts is not None),
                             key=lambda packet: packet.dts * packet.time_base):
            output.mux(packet)
    return round(last, 3)


def _video_stream(output: av.container.OutputContainer, width: int, height: int) -> Any:
    stream = output.add_stream('libx264', rate=_MOMENT_RATE)
    stream.width, stream.height, stream.pix_fmt = width, height, 'yuv420p'
    stream.codec_context.time_base = stream.time_base = Fraction(1, _TICKS)
    stream.codec_context.thread_count = 1
    stream.codec_context.options = {'preset': 'veryfast', 'crf': '24', 'profile': 'high'}
    return stream


def _sound_stream(output: av.container.OutputContainer) -> Any:
    stream = output.add_stream('aac', rate=_SOUND_RATE)
    stream.codec_context.bit_rate = 128000
    stream.codec_context.layout = 'stereo'
    return stream


def _moving(path: str, start: float, end: float) -> Iterator[tuple[float, av.VideoFrame]]:
    """Yield time and frame of a part, upright, of few pixels and at most 30 a second."""
    with _Jump(path, start) as jump:
        before: Optional[tuple[float, av.VideoFrame]] = None
        last = float('-inf')
        for at, frame in jump.frames():
            if at < start:
                before = start, frame  # the last of them is shown when the part begins
                continue
            for time, shown in filter(None, (before if at > start else None, (at, frame))):
                if time < end and time - last > 0.9 / _MOMENT_RATE:
                    last = time
                    yield time, _small(jump, shown)
            before = None
            if at >= end:
                return
        if before is not None:
            yield start, _small(jump, before[1])


def _moving_read(path: str, start: float, end: float) -> Iterator[tuple[float, av.VideoFrame]]:
    """Yield the same of a file that is read as when it was indexed."""
    reader, reformatter = PyAVReader(path, 0.9), VideoReformatter()
    try:
        times = np.maximum(reader.times + reader.delay, start)
        first = max(0, int(np.searchsorted(reader.times + reader.delay, start, 'right')) - 1)
        numbers = []
        for number in range(first, int(np.searchsorted(times, end))):
            if not numbers or times[number] - times[numbers[-1]] > 0.9 / _MOMENT_RATE:
                numbers.append(number)
        last = -1
        for number, image in reader.decode(numbers):
            if number < last:  # a copy for one that is damaged
                continue
            last = number
            yield float(times[number]), reformatter.reformat(
                av.VideoFrame.from_ndarray(image, format='rgb24'),
                *_even_within(image.shape[1], image.shape[0], _MOMENT_SIDE), 'yuv420p', threads=1)
    finally:
        reader.close()


def _even_within(width: float, height: float, side: int) -> tuple[int, int]:
    """Return even width and height of the same shape, of which none is above ``side``."""
    shrink = min(1.0, side / max(width, height))
    return tuple(max(2, round(value * shrink / 2) * 2) for value in (width, height))


def _small(jump: _Jump, frame: av.VideoFrame) -> av.VideoFrame:
    """Return a frame as it is encoded."""
    image = jump.image(frame, _MOMENT_SIDE)
    return jump._reformatter.reformat(av.VideoFrame.from_ndarray(image, format='rgb24'),
                                      format='yuv420p', threads=1)


def _sound(path: str, start: float, end: float) -> list[av.AudioFrame]:
    """Return the sound of a part; none where there is none, or it cannot be decoded."""
    frames: list[av.AudioFrame] = []
    try:
        with open_container(path) as container:
            streams = [stream for stream in container.streams.audio if stream.codec_context]
            if not streams:
                return []
            begin = (container.start_time or 0) / av.time_base
            resampler = AudioResampler('fltp', 'stereo', _SOUND_RATE)
            container.seek(int((start + begin) * av.time_base))
            for frame in container.decode(streams[0]):
                at = frame.time - begin if frame.time is not None else None
                if at is None or at >= end:
                    break
                if at >= start:
                    frame.pts = None
                    frames += _placed(resampler.resample(frame), at - start, frames)
    except (av.FFmpegError, ValueError, ArithmeticError):
        return []
    return frames


def _placed(new: Sequence[av.AudioFrame], at: float, before: list) -> Sequence[av.AudioFrame]:
    """Give frames of sound their times: each follows the one before, the first as it lies."""
    pts = before[-1].pts + before[-1].samples if before else round(at * _SOUND_RATE)
    for frame in new:
        frame.pts, frame.time_base = pts, Fraction(1, _SOUND_RATE)
        pts += frame.samples
    return new


def query(path: str, pipeline: list[dict], window: float, stride: float
          ) -> tuple[dict[str, Any], bytes]:
    """Read the frames by which a whole video is searched.

    Args:
        path (str): The file.
        pipeline (list[dict]): See :class:`~mmc2v.search.frames.ClipFrames`, as are the others.
        window (float): Seconds.
        stride (float): Seconds.

    Returns:
        tuple: ``shape`` (T, H, W, 3), ``num_frames`` that the model takes, and the bytes of the
        frames.
    """
    from ..frames import ClipFrames
    source = ClipFrames(pipeline, window, stride)
    frames = source.whole(path)
    return dict(shape=frames.shape, num_frames=source.num_frames), frames.tobytes()


JOBS = {job.__name__: job for job in (begin, probe, picture, moment, query)}
