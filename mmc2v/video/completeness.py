"""Comparing what is in a file with what its container promises.

Durations are believed only where a header holds them: FFmpeg estimates the others from what is
there. Gaps of time are losses only where the format has a constant rate: in others a picture that
stands still has them as well.
"""
import os
from datetime import timedelta
from typing import Optional

import av
import numpy as np

from .asf import AsfProperties, asf_properties
from .declared_size import lost_bytes
from .packet_index import SAYS_DURATION, VideoIndex

_CONSTANT_RATE = {'mpeg1video', 'mpeg2video'}
_CONSTANT_RATE_FORMATS = {'mpegts', 'mxf'}
_AVI_CHUNK = 8  # bytes of the header of each
_OGG_VIDEO = (b'\x80theora', b'OVP80', b'BBCD')  # how the first packet begins
# How far the end may lie before the promised one, in frames, and in gaps like the longest: what is
# said to be the end of a picture that stands still is not always read.
_END_FRAMES, _END_GAPS = 2.5, 1.25


def note_missing(index: VideoIndex, container: av.container.InputContainer,
                 stream: av.VideoStream, lost: int) -> None:
    """Set ``missing_share`` and ``damage`` of an index.

    Args:
        index (VideoIndex): With its times.
        container (av.container.InputContainer): The file.
        stream (av.VideoStream): Its video.
        lost (int): Packets that are there and could not be decoded.
    """
    formats = container.format.name.split(',')
    asf = asf_properties(index.path) if 'asf' in formats else AsfProperties()
    found, expected = len(index.packets), _declared_packets(index, stream, formats)
    reason = index.interruption
    promised = asf.duration if 'asf' in formats else (container.duration or 0) / 1e6
    at_the_end = _missing_at_the_end(index, stream, formats, promised) if len(index.times) else 0
    expected += at_the_end
    # raw streams have no times: FFmpeg's guesses leave a gap after the first frame
    if len(index.times) > 2 and 'mpegvideo' not in formats and (
            not _CONSTANT_RATE_FORMATS.isdisjoint(formats)
            or stream.codec_context.codec.canonical_name in _CONSTANT_RATE):
        expected += _missing_between(index)  # a packet that is lost leaves a gap alone
    if 'ogg' in formats and (pages := _lost_ogg_pages(index.path)):
        expected += max(pages, _missing_between(index))
        reason = reason or 'pages of the file are lost'
    if asf.lost_packets:
        expected += max(1, _missing_between(index))
        reason = reason or f'{asf.lost_packets} packets of the file are lost'
    if index.skipped:  # a picture that stands still leaves a gap, too, but is not read over
        expected += max(1, _missing_between(index))
        reason = reason or f'the demuxer says: {index.skipped}'
    elif not at_the_end and (between := _missing_between(index)) and (
            number := lost_bytes(index.path, formats)):  # each alone is met in whole videos
        expected += between
        reason = reason or f'{number} bytes of the file are lost'
    if index.timeless and 0 < stream.frames < found:  # times are counted, so all may be wrong
        expected = stream.frames
    if index.interruption and found == expected:  # what would have followed is not known
        expected += 1
    if index.start:  # nothing before can be decoded
        found = min(found, expected) - index.start
        reason = reason or 'it does not begin with a keyframe'
    if lost:
        found = max(0, found - lost)
        reason = reason or 'others cannot be decoded'
    if found != expected or reason is not None:
        index.missing_share = abs(1 - found / max(1, expected))
        index.damage = f'{found} of {expected} video packets are there' + (
            f' ({reason})' if reason else '')


def _declared_packets(index: VideoIndex, stream: av.VideoStream, formats: list[str]) -> int:
    """Return how many packets the header promises; those that are there where it does not."""
    found = len(index.packets)
    if 'avi' in formats:
        # of a file that was written into a pipe the header was never completed
        says_number = stream.frames <= os.path.getsize(index.path) // _AVI_CHUNK
        return max(found, stream.frames - index.empty_chunks) if says_number else found
    if 'mp4' not in formats:
        return max(found, stream.frames)
    if not stream.frames:  # none are declared in fragmented files
        return found
    # Edit lists leave samples out, also of the duration; a damaged table of samples does not.
    expected = max(found, len(stream.index_entries))
    mean = index.shown_duration / max(1, len(index.times))
    duration = float((stream.duration or 0) * stream.time_base)
    if mean and duration - index.shown_duration > _END_FRAMES * mean:
        expected = max(expected, round(duration / mean))
    return expected


def _missing_between(index: VideoIndex) -> int:
    if len(index.times) < 3:
        return 0
    gaps = np.diff(index.times)
    return int(np.round(gaps / np.median(gaps) - 1).clip(0).sum())


def _missing_at_the_end(index: VideoIndex, stream: av.VideoStream, formats: list[str],
                        promised: float) -> int:
    """Return how many frames lie between the end and the promised one.

    The duration of the file is that of its longest stream, often the sound. So the video's own is
    taken where there is one (Matroska), and otherwise the end of whichever stream ends last.
    """
    end = float((stream.start_time or 0) * stream.time_base) + index.duration
    alone = _tagged_duration(stream) if 'matroska' in formats else None
    if alone is not None:
        promised = min(promised or alone, alone)
    elif SAYS_DURATION.isdisjoint(formats):
        return 0
    else:
        end = max(end, index.end)
    # some say when the last frame ends, others how long after the first
    missing = promised - max(end, index.duration)
    mean = index.duration / len(index.times)
    slack = max(_END_FRAMES * mean, _END_GAPS * float(np.diff(index.times).max(initial=0)))
    return round(missing / mean) if missing > slack else 0


def _tagged_duration(stream: av.VideoStream) -> Optional[float]:
    """Return the seconds of a tag such as 00:00:02.400000000."""
    try:
        hours, minutes, seconds = stream.metadata.get('DURATION', '').split(':')
        return timedelta(hours=int(hours), minutes=int(minutes),
                         seconds=float(seconds)).total_seconds()
    except (OverflowError, ValueError):
        return None


def _lost_ogg_pages(path: str) -> int:
    """Count the pages of the video that are not there, by their numbers.

    The last page is marked (RFC 3533, section 6); without it one counts as lost.
    """
    size = os.path.getsize(path)
    serial, expected, lost, ended = None, 0, 0, False
    with open(path, 'rb') as file:
        while (header := file.read(27))[:4] == b'OggS' and len(header) == 27:
            lengths = file.read(header[26])
            body = file.tell()
            if serial is None and header[5] & 2 and file.read(8).startswith(_OGG_VIDEO):
                serial = header[14:18]
            file.seek(body + sum(lengths))
            if header[14:18] == serial:
                number = int.from_bytes(header[18:22], 'little')
                lost += max(0, number - expected)
                expected = number + 1
                ended = bool(header[5] & 4) and file.tell() <= size
    return lost + (serial is not None and not ended)
