"""Opening video files, and nothing else that FFmpeg would open."""
import os
import stat

import av

# Containers of videos, by FFmpeg's names: no playlists, scripts, numbered images, texts or devices.
FORMATS = ('asf', 'avi', 'dv', 'flv', 'gif', 'h264', 'hevc', 'ivf', 'live_flv', 'm4v', 'matroska',
            'mjpeg', 'mov', 'mp4', 'mpeg', 'mpegts', 'mpegvideo', 'mxf', 'nut', 'obu', 'ogg', 'rm',
            'vc1', 'webm', 'wtv', 'yuv4mpegpipe')
PROTOCOL = 'file:'
# Seconds between two frames, beyond which a time is damaged rather than the recording slow.
MAX_GAP = 24 * 3600


def open_container(path: str) -> av.container.InputContainer:
    """Open a video file, and nothing else that FFmpeg would open.

    A name may look like a URL or a pattern of images, and a file of any name may be a playlist or a
    script that opens other files and connections. So only regular files are opened, by the protocol
    of files, and only in formats that hold videos themselves.

    Before PyAV 19 bytes that are no UTF-8 in a title would be an error; since then they never are,
    and the argument is gone.

    Args:
        path (str): The file.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is no regular file, such as a folder or a pipe.
        av.FFmpegError: If it is no video file.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise ValueError('it is no regular file')
    options = {'protocol_whitelist': 'file', 'format_whitelist': ','.join(FORMATS)}
    errors = {'metadata_errors': 'ignore'} if int(av.__version__.split('.')[0]) < 19 else {}
    try:
        return av.open(address_of(path), container_options=options, **errors)
    except av.ArgumentError as error:
        raise ValueError('it is of no format of videos that is read here') from error


def address_of(path: str) -> str:
    """Return what FFmpeg takes for this file whatever its name looks like."""
    return PROTOCOL + os.path.abspath(path)


def open_video(path: str) -> tuple[av.container.InputContainer, av.VideoStream]:
    """Open a file and find its video: the one that the file marks as its default, or the first.

    Raises:
        av.FFmpegError: If it is no media file.
        ValueError: If there is no video in it, or none that can be decoded.
    """
    kinds = av.stream.Disposition
    container = open_container(path)
    streams = [stream for stream in container.streams.video
               if not stream.disposition & kinds.attached_pic]  # covers of music
    stream = next((stream for stream in streams if stream.disposition & kinds.default),
                  streams[0] if streams else None)
    if stream is not None and stream.codec_context is not None:
        return container, stream
    container.close()
    raise ValueError('there is no decoder for its codec' if streams else
                     'there is no video stream in it')


def delay_of(container: av.container.InputContainer, first: float) -> float:
    """Return the seconds from where a file begins, as players count, to its first frame.

    The sound may come first. Where edit lists cut, the first time is that of what is shown.

    Args:
        container (av.container.InputContainer): The file.
        first (float): Time of the frame in seconds, by the container.
    """
    delay = first - (container.start_time or 0) / av.time_base
    return delay if 0 < delay <= MAX_GAP else 0.0
