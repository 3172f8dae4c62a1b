"""Undamaged videos of every container and codec that is read here and can be made by PyAV's wheel.

Theora and VC-1 have a decoder but no encoder there; ``NOT_MADE`` has the containers without files.
"""
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import av
import numpy as np

NUM_FRAMES, RATE = 36, 25
# Containers that are not made: PyAV's wheel has no encoder, or their files are those of another.
NOT_MADE = {'vc1': 'no encoder', 'live_flv': 'files of flv'}
# Encoders by the codec's name: options and, where it is not yuv420p, the format of pixels.
_GOP = {'g': '12'}
_B_FRAMES = {**_GOP, 'bf': '2'}
_VPX = {**_GOP, 'cpu-used': '5', 'deadline': 'good'}  # 'realtime' looks at the clock
# So that these two write the same bytes each time
_X264 = {**_GOP, 'preset': 'veryfast', 'threads': '1', 'x264-params': 'asm=0'}
_X265 = {'preset': 'ultrafast', 'x265-params': (
    'log-level=none:pools=none:frame-threads=1:wpp=0:asm=0:qp=28:no-info=1:aq-mode=0:no-cutree=1:'
    'keyint=12')}
_ENCODERS: dict[str, tuple[str, dict[str, str], str]] = {
    'h264': ('libx264', {**_X264, 'bf': '2'}, 'yuv420p'),
    'h264 slices': ('libx264', {**_X264, 'slices': '4'}, 'yuv420p'),
    'hevc': ('libx265', _X265, 'yuv420p'),
    'av1': ('libsvtav1', {**_GOP, 'preset': '10', 'svtav1-params': 'lp=1'}, 'yuv420p'),
    'vp8': ('libvpx', _VPX, 'yuv420p'),
    'vp9': ('libvpx-vp9', _VPX, 'yuv420p'),
    'mpeg4': ('mpeg4', _GOP, 'yuv420p'),
    'mpeg4 B': ('mpeg4', _B_FRAMES, 'yuv420p'),
    'mpeg1': ('mpeg1video', _B_FRAMES, 'yuv420p'),
    'mpeg2': ('mpeg2video', _B_FRAMES, 'yuv420p'),
    'wmv1': ('wmv1', _GOP, 'yuv420p'),
    'wmv2': ('wmv2', _GOP, 'yuv420p'),
    'msmpeg4v2': ('msmpeg4v2', _GOP, 'yuv420p'),
    'msmpeg4v3': ('msmpeg4', _GOP, 'yuv420p'),
    'flv1': ('flv', _GOP, 'yuv420p'),
    'h263': ('h263', _GOP, 'yuv420p'),
    'rv10': ('rv10', _GOP, 'yuv420p'),
    'rv20': ('rv20', _GOP, 'yuv420p'),
    'svq1': ('svq1', _GOP, 'yuv410p'),
    'cinepak': ('cinepak', {}, 'rgb24'),
    'qtrle': ('qtrle', _GOP, 'rgb24'),
    'flashsv': ('flashsv', _GOP, 'bgr24'),
    'mjpeg': ('mjpeg', {}, 'yuvj420p'),
    'ffv1': ('ffv1', _GOP, 'yuv420p'),
    'huffyuv': ('huffyuv', {}, 'yuv422p'),
    'prores': ('prores_ks', {}, 'yuv422p10le'),
    'png': ('png', {}, 'rgb24'),
    'dnxhr': ('dnxhd', {'profile': 'dnxhr_lb'}, 'yuv422p'),
    'dv': ('dvvideo', {}, 'yuv420p'),
    'gif': ('gif', {}, 'rgb8'),
    'raw': ('rawvideo', {}, 'yuv420p'),
    'frames': ('wrapped_avframe', {}, 'yuv420p'),
}
# By FFmpeg's name of the muxer. '+' names a muxer's options.
_MUXERS: dict[str, tuple[str, ...]] = {
    '3gp': ('h263', 'h264'),
    'asf': ('wmv1', 'wmv2', 'msmpeg4v3', 'h264'),
    'avi': ('mpeg4', 'mpeg4 B', 'mjpeg', 'msmpeg4v2', 'msmpeg4v3', 'h264', 'huffyuv', 'ffv1', 'raw',
            'cinepak'),
    'dv': ('dv',),
    'flv': ('flv1', 'h264', 'flashsv', 'hevc'),
    'gif': ('gif',),
    'h264': ('h264',),
    'hevc': ('hevc',),
    'ivf': ('vp8', 'vp9', 'av1'),
    'm4v': ('mpeg4',),
    'matroska': ('h264', 'hevc', 'vp8', 'vp9', 'mpeg4', 'mpeg4 B', 'mpeg2', 'mjpeg', 'ffv1',
                 'prores'),
    'mjpeg': ('mjpeg',),
    'mov': ('h264', 'qtrle', 'prores', 'mjpeg', 'dnxhr', 'svq1', 'png', 'cinepak'),
    'mp4': ('h264', 'h264 slices', 'hevc', 'av1', 'vp9', 'mpeg4', 'mpeg2'),
    'mp4+faststart': ('h264',),
    'mp4+frag_keyframe+empty_moov': ('h264', 'mpeg4'),
    'mpeg': ('mpeg1', 'mpeg2'),
    'mpeg1video': ('mpeg1',),
    'mpeg2video': ('mpeg2',),
    'mpegts': ('h264', 'hevc', 'mpeg2', 'mpeg4'),
    'mxf': ('mpeg2', 'h264', 'dnxhr', 'prores'),
    'nut': ('mpeg4', 'h264', 'vp8', 'ffv1'),
    'obu': ('av1',),
    'ogg': ('vp8',),
    'rm': ('rv10', 'rv20'),
    'webm': ('vp8', 'vp9', 'av1'),
    'wtv': ('mpeg2', 'h264'),
    'yuv4mpegpipe': ('frames',),
}
# Codecs that only code certain sizes.
_SIZES = {'dv': (720, 576), 'h263': (128, 96), 'dnxhr': (256, 120)}
_SIZE = (64, 64)


@dataclass(frozen=True)
class Source:
    """An undamaged video.

    Attributes:
        container (str): FFmpeg's name of the muxer.
        codec (str): Name of the codec and its settings.
        width (int): Pixels.
        height (int): Pixels.
        content (bytes): The file.
    """

    container: str
    codec: str
    width: int
    height: int
    content: bytes


def write_packets(container: str, write: Callable[[av.container.OutputContainer], None]) -> bytes:
    """Return the file that a function muxes, without dates and random numbers in it.

    Args:
        container (str): As of :class:`Source`.
        write (Callable): Adds streams and muxes.
    """
    muxer, *flags = container.split('+')
    movflags = {'movflags': '+'.join(flags)} if flags else {}
    with tempfile.NamedTemporaryFile() as file:  # faststart reads it by its name
        with av.open(file.name, 'w', format=muxer,
                     options={'fflags': '+bitexact', **movflags}) as output:
            write(output)
        drop_realtime_priority()
        return Path(file.name).read_bytes()


def drop_realtime_priority() -> None:
    """Take back FIFO 99, which SVT-AV1 gives the thread that encodes where it runs as root.

    Processes that are started later would inherit it, and starve those that they wait for.
    """
    if hasattr(os, 'sched_setscheduler') and os.sched_getscheduler(0) != os.SCHED_OTHER:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def make_source(container: str, codec: str) -> Source:
    """Encode a short video in which every frame is another."""
    encoder, options, pix_fmt = _ENCODERS[codec]
    width, height = _SIZES.get(codec, _SIZE)
    cells = np.random.default_rng(0).integers(0, 256, (height // 8 + 16, width // 8 + 16, 3))
    texture = np.kron(cells, np.ones((8, 8, 1))).astype(np.uint8)

    def write(output: av.container.OutputContainer) -> None:
        stream = output.add_stream(encoder, rate=RATE, options=dict(options))
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        for number in range(12 if codec == 'dv' else NUM_FRAMES):
            image = texture[number:number + height, 2 * number:2 * number + width]
            output.mux(stream.encode(av.VideoFrame.from_ndarray(
                np.ascontiguousarray(image), 'rgb24')))
        output.mux(stream.encode())

    return Source(container, codec, width, height, write_packets(container, write))


@cache
def make_sources() -> tuple[Source, ...]:
    """Encode one video of every kind."""
    return tuple(make_source(container, codec) for container, codecs in _MUXERS.items()
                 for codec in codecs)
