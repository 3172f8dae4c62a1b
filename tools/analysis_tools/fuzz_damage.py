"""The ways in which a video is damaged: each is a function of a source and of random numbers."""
import io
import struct
from collections.abc import Callable, Sequence

import av
import numpy as np
from fuzz_sources import Source, write_packets
from PIL import Image

Damage = Callable[[Source, np.random.Generator, Sequence[Source]], bytes]


class NotPossibleError(Exception):
    """This file cannot be damaged in this way."""


def _bytes_in(source: Source, rng: np.random.Generator) -> tuple[bytearray, int, int]:
    """Return the file, and start and length of a piece of it."""
    data = bytearray(source.content)
    start = int(rng.integers(len(data)))
    return data, start, int(min(len(data) - start, 2 ** rng.integers(0, 13)))


def _flip_bits(data: bytearray, start: int, stop: int, number: int,
               rng: np.random.Generator) -> bytes:
    for place in rng.integers(start, stop, size=number):
        data[place] ^= 1 << int(rng.integers(8))
    return bytes(data)


def _cut_off(source: Source, rng: np.random.Generator, _: Sequence[Source]) -> bytes:
    return source.content[:int(rng.integers(len(source.content)))]


def _zeroed(source: Source, rng: np.random.Generator, _: Sequence[Source]) -> bytes:
    data, start, length = _bytes_in(source, rng)
    data[start:start + length] = bytes(length)
    return bytes(data)


def _random_bytes(source: Source, rng: np.random.Generator, _: Sequence[Source]) -> bytes:
    data, start, length = _bytes_in(source, rng)
    data[start:start + length] = rng.bytes(length)
    return bytes(data)


def _scattered_bytes(source: Source, rng: np.random.Generator, _: Sequence[Source]) -> bytes:
    data = bytearray(source.content)
    for place in rng.integers(len(data), size=int(2 ** rng.integers(0, 8))):
        data[place] = int(rng.integers(256))
    return bytes(data)


def _flipped_bits(source: Source, rng: np.random.Generator, _: Sequence[Source]) -> bytes:
    number = int(2 ** rng.integers(0, 6))
    return _flip_bits(bytearray(source.content), 0, len(source.content), number, rng)


def _removed(source: Source, rng: np.random.Generator, _: Sequence[Source]) -> bytes:
    data, start, length = _bytes_in(source, rng)
    return bytes(data[:start] + data[start + length:])


def _repeated(source: Source, rng: np.random.Generator, _: Sequence[Source]) -> bytes:
    data, start, length = _bytes_in(source, rng)
    return bytes(data[:start + length] + data[start:])


def _header(source: Source, rng: np.random.Generator, _: Sequence[Source]) -> bytes:
    """Change bytes where containers keep their tables."""
    data = bytearray(source.content)
    size = len(data)
    area = range(min(1500, size)) if rng.random() < .5 else range(max(0, size - 1500), size)
    for place in rng.choice(area, size=int(2 ** rng.integers(0, 5))):
        data[place] = int(rng.integers(256))
    return bytes(data)


def _packets(source: Source) -> tuple[av.VideoStream, list[av.Packet]]:
    container = av.open(io.BytesIO(source.content))
    stream = container.streams.video[0]
    return stream, [packet for packet in container.demux(stream) if packet.size]


def _mux(container: str, template: av.VideoStream, packets: Sequence[av.Packet]) -> bytes:
    def write(output: av.container.OutputContainer) -> None:
        stream = output.add_stream_from_template(template)
        for packet in packets:
            packet.stream = stream
            output.mux(packet)
    try:
        return write_packets(container, write)
    except (av.FFmpegError, ValueError) as error:  # what the muxer refuses to write
        raise NotPossibleError from error


def _lost_packet(source: Source, rng: np.random.Generator, _: Sequence[Source]) -> bytes:
    stream, packets = _packets(source)
    del packets[int(rng.integers(1, len(packets)))]
    return _mux(source.container, stream, packets)


def _lost_first_keyframe(source: Source, rng: np.random.Generator, _: Sequence[Source]) -> bytes:
    stream, packets = _packets(source)
    return _mux(source.container, stream, packets[1:])


def _lost_run(source: Source, rng: np.random.Generator, _: Sequence[Source]) -> bytes:
    stream, packets = _packets(source)
    start = int(rng.integers(1, len(packets) - 1))
    del packets[start:start + int(rng.integers(2, 20))]
    return _mux(source.container, stream, packets)


def _wrong_time(source: Source, rng: np.random.Generator, _: Sequence[Source]) -> bytes:
    """Change the times of one packet, or where the muxer minds, bits of what is before it."""
    stream, packets = _packets(source)
    number = int(rng.integers(len(packets)))
    packet, before = packets[number], packets[number - 1]
    place = packet.pos
    if packet.pts is None or packet.dts is None or before.pts is None:
        raise NotPossibleError
    step = packet.duration or 1
    new = int(rng.choice([packet.pts ^ (1 << int(rng.integers(32))), 2 ** 40, -packet.pts - step,
                          before.pts, before.pts - 5 * step, packet.pts + 100 * step]))
    if rng.random() < .5:
        packet.dts = new
    packet.pts = new
    try:
        return _mux(source.container, stream, packets)
    except NotPossibleError:
        if not place:
            raise
        return _flip_bits(bytearray(source.content), max(0, place - 20), place, 1, rng)


def _all_keyframes(source: Source, rng: np.random.Generator, _: Sequence[Source]) -> bytes:
    return _flagged(source, True)


def _no_keyframes(source: Source, rng: np.random.Generator, _: Sequence[Source]) -> bytes:
    return _flagged(source, False)


def _flagged(source: Source, flag: bool) -> bytes:
    stream, packets = _packets(source)
    for packet in packets:
        packet.is_keyframe = flag
    return _mux(source.container, stream, packets)


def _joined_bytes(source: Source, rng: np.random.Generator, sources: Sequence[Source]) -> bytes:
    """Append the tail of any file, or all of it."""
    other = sources[int(rng.integers(len(sources)))].content
    head = len(source.content) if rng.random() < .5 else int(rng.integers(len(source.content)))
    tail = 0 if rng.random() < .5 else int(rng.integers(len(other)))
    return source.content[:head] + other[tail:]


def _joined_packets(source: Source, rng: np.random.Generator, sources: Sequence[Source]) -> bytes:
    """Let the packets of another file, of another codec or size, follow as if they were its own."""
    stream, packets = _packets(source)
    _, others = _packets(sources[int(rng.integers(len(sources)))])
    head = int(rng.integers(1, len(packets)))
    for packet, other in zip(packets[head:], others[head:]):
        other.pts, other.dts, other.time_base = packet.pts, packet.dts, packet.time_base
    return _mux(source.container, stream, [*packets[:head], *others[head:len(packets)]])


def _no_video(source: Source, rng: np.random.Generator, sources: Sequence[Source]) -> bytes:
    """Write scripts that name other files, texts, images."""
    image = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(
        image, str(rng.choice(['png', 'jpeg', 'ppm', 'bmp', 'webp', 'tiff'])))
    name = str(rng.choice(['/etc/passwd', 'a.mp4', 'http://127.0.0.1:9/a.mp4', '../a.mkv']))
    texts = (f"ffconcat version 1.0\nfile '{name}'\n",
             f'#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:2.4,\n{name}\n#EXT-X-ENDLIST\n',
             f'<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>{name}</BaseURL></MPD>',
             f'v=0\nm=video 9 RTP/AVP 96\na=control:{name}\n', f'<html>{name}</html>', '')
    return [image.getvalue(), *(text.encode() for text in texts)][int(rng.integers(7))]


def _display_matrix(source: Source, rng: np.random.Generator, _: Sequence[Source]) -> bytes:
    """Fill the matrix of the header of a track, of mp4 and its like, with something else."""
    place = source.content.find(b'tkhd')
    if place < 0:
        raise NotPossibleError
    ones = [0, 1 << 16, -1 << 16]
    entries = ([int(rng.choice(ones)) for _ in range(9)] if rng.random() < .5
               else rng.integers(-2 ** 31, 2 ** 31, 9).tolist())
    data = bytearray(source.content)
    data[place + 44:place + 80] = struct.pack('>9i', *entries)
    return bytes(data)


def _lying_size(source: Source, rng: np.random.Generator, _: Sequence[Source]) -> bytes:
    """Replace the size by a huge one wherever two numbers beside each other may be it."""
    width, height = source.width, source.height
    huge = [(16380, 8192), (8192, 16380), (65535, 65535), (16380, 2)][int(rng.integers(4))]
    data = source.content
    for form in ('>HH', '<HH', '<II', '>II'):
        data = data.replace(struct.pack(form, width, height), struct.pack(form, *huge))
    data = data.replace(struct.pack('>HH', height, width), struct.pack('>HH', *huge[::-1]))
    # sequence headers of MPEG-1 and 2 have 12 bits for each
    data = data.replace(b'\0\0\1\xb3' + (width << 12 | height).to_bytes(3, 'big'),
                        b'\0\0\1\xb3\xff\xcf\xfc')
    data = data.replace(f'W{width} H{height}'.encode(), 'W{} H{}'.format(*huge).encode())
    if data == source.content:
        raise NotPossibleError
    return data


# Names of tables in mp4 and its like, avi, Matroska (its cues) and MXF
_TABLES = (b'stts', b'ctts', b'stss', b'stsz', b'stco', b'stsc', b'elst', b'trun', b'tfhd', b'idx1',
           b'indx', b'\x1c\x53\xbb\x6b',
           b'\x06\x0e\x2b\x34\x02\x53\x01\x01\x0d\x01\x02\x01\x01\x10')


def _broken_table(source: Source, rng: np.random.Generator, _: Sequence[Source]) -> bytes:
    """Cut the file off in an index, or empty one's end, or change what is around its number."""
    places = [place for table in _TABLES if (place := source.content.find(table)) >= 0]
    if not places:
        raise NotPossibleError
    data = bytearray(source.content)
    place = places[int(rng.integers(len(places)))]
    inside = min(len(data), place + 4 + int(rng.integers(100)))
    way = rng.integers(3)
    if way == 0:
        return bytes(data[:inside])
    if way == 1:
        data[inside:inside + 64] = bytes(len(data[inside:inside + 64]))
        return bytes(data)
    return _flip_bits(data, place + 4, min(len(data), place + 16), 1, rng)


DAMAGES: dict[str, Damage] = {
    'cut off': _cut_off, 'zeroed': _zeroed, 'random bytes': _random_bytes,
    'scattered bytes': _scattered_bytes, 'flipped bits': _flipped_bits, 'removed': _removed,
    'repeated': _repeated, 'header': _header, 'lost packet': _lost_packet,
    'lost first keyframe': _lost_first_keyframe, 'lost packets': _lost_run,
    'wrong time': _wrong_time, 'all are keyframes': _all_keyframes,
    'no keyframes': _no_keyframes, 'joined bytes': _joined_bytes,
    'joined packets': _joined_packets, 'no video': _no_video, 'display matrix': _display_matrix,
    'lying size': _lying_size, 'broken table': _broken_table,
}
# Of these the packets that are left are whole and in their places.
TIMES_HOLD = {'lost packet', 'lost first keyframe', 'lost packets', 'all are keyframes',
              'no keyframes'}


def damaged_file(seed: int, sources: Sequence[Source]) -> tuple[Source, str, bytes]:
    """Damage one of the sources in one of the ways.

    Args:
        seed (int): Decides all.
        sources (Sequence[Source]): Undamaged videos.

    Returns:
        tuple[Source, str, bytes]: What was damaged, in what way, and the file.
    """
    rng = np.random.default_rng(seed)
    source = sources[int(rng.integers(len(sources)))]
    while True:
        way = list(DAMAGES)[int(rng.integers(len(DAMAGES)))]
        try:
            return source, way, DAMAGES[way](source, rng, sources)
        except NotPossibleError:
            continue
