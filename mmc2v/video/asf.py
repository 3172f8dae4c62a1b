"""What the header of an ASF file (wmv, asf) promises, which FFmpeg tells in part.

Advanced Systems Format Specification 01.20.03, sections 3.2, 5.1 and 5.2.
"""
import os
import struct
from typing import BinaryIO, NamedTuple

_FILE_PROPERTIES = bytes.fromhex('a1dcab8c47a9cf118ee400c00c205365')
# size of the file, packets, duration in 100 ns, preroll in ms, flags, least and most of a packet
_PROPERTIES = struct.Struct('<40xQ8xQQ8xQIII')
_DATA = bytes.fromhex('3626b2758e66cf11a6d900aa0062ce6c')
_DATA_HEADER = 50  # bytes of the data object before its first packet
_CORRECTS_ERRORS = 0x80  # bit of a packet's first byte
_HEAD = 1 << 16  # bytes of a file in which these objects are looked for
_MIN_PACKET = 256  # bytes; smaller ones would take hours and are not met


class AsfProperties(NamedTuple):
    """What the header says; for a broadcast nothing, as it was written before the end.

    Attributes:
        duration (float): Seconds; 0 where it is not known. FFmpeg leaves it out where the file has
            not the size that it should have.
        lost_packets (int): Packets of the container, each of one size, that are not there: cut out
            of the file, or overwritten by something else.
    """

    duration: float = 0.0
    lost_packets: int = 0


def asf_properties(path: str) -> AsfProperties:
    """Read the header, and the first byte of each packet.

    Args:
        path (str): An ASF file.

    Returns:
        AsfProperties: Empty where there is no such header, or that of a broadcast.
    """
    size = os.path.getsize(path)
    with open(path, 'rb') as file:
        head = file.read(_HEAD)
        place = head.find(_FILE_PROPERTIES)
        if place < 0 or len(head) < place + _PROPERTIES.size:
            return AsfProperties()
        declared, packets, duration, preroll, flags, least, most = _PROPERTIES.unpack_from(
            head, place)
        if flags & 1:
            return AsfProperties()
        lost = 0
        if least == most >= _MIN_PACKET:
            cut_out = -((size - declared) // most) if size < declared else 0
            lost = min(packets, max(cut_out, _overwritten(file, head, size, most)))
    return AsfProperties(duration / 1e7 - preroll / 1e3, lost)


def _overwritten(file: BinaryIO, head: bytes, size: int, packet_size: int) -> int:
    """Count packets that do not begin as the first does: by how errors are corrected.

    Where that is left out, they begin with what they hold, each with something else.
    """
    place = head.find(_DATA)
    begin = place + _DATA_HEADER
    if place < 0 or len(head) <= begin or not head[begin] & _CORRECTS_ERRORS:
        return 0
    end = min(size, place + int.from_bytes(head[place + 16:place + 24], 'little'))
    count = 0
    for offset in range(begin, end, packet_size):
        file.seek(offset)
        count += file.read(1) != head[begin:begin + 1]
    return count
