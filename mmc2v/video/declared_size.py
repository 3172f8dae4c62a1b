"""How many bytes a file says that it has, which FFmpeg compares with nothing.

Where whole clusters or tags are lost, what is left makes sense to the demuxer. Matroska: RFC 9559,
section 5.1, and RFC 8794, section 4; flv: Adobe Flash Video File Format Specification 10.1, E.5.
"""
import math
import os
import struct
from collections.abc import Collection

_SEGMENT = bytes.fromhex('18538067')
_FILE_SIZE = b'\0\x08filesize\0'  # a name of 8 letters, and that a number follows
_HEAD = 1 << 16  # bytes of a file in which these are looked for


def lost_bytes(path: str, formats: Collection[str]) -> int:
    """Compare the size of a file with the one in its header.

    Args:
        path (str): Video file.
        formats (Collection[str]): Its format, by FFmpeg's names.

    Returns:
        int: By how much it is shorter; 0 where it is not, or does not say.
    """
    with open(path, 'rb') as file:
        head = file.read(_HEAD)
    declared = (_matroska_size(head) if 'matroska' in formats else
                _flv_size(head) if 'flv' in formats else 0)
    return max(0, declared - os.path.getsize(path))


def _matroska_size(head: bytes) -> int:
    place = head.find(_SEGMENT) + len(_SEGMENT)
    if place < len(_SEGMENT) or not any(head[place:place + 1]):
        return 0
    length = 9 - head[place].bit_length()  # leading zero bits say how many bytes the number has
    unknown = (1 << 7 * length) - 1
    size = int.from_bytes(head[place:place + length], 'big') & unknown
    return place + length + size if size != unknown else 0  # unknown: a live recording


def _flv_size(head: bytes) -> int:
    place = head.find(_FILE_SIZE) + len(_FILE_SIZE)
    if place < len(_FILE_SIZE) or len(head) < place + 8:
        return 0
    size, = struct.unpack_from('>d', head, place)
    return int(size) if math.isfinite(size) else 0
