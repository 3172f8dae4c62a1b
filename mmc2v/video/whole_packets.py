"""Whether packets are whole, for decoders that fill what is missing with what was in memory."""
import zlib


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


def is_whole_flashsv(data: bytes) -> bool:
    """Say whether a packet of Flash Screen Video has all its blocks, each with all its pixels.

    Args:
        data (bytes): Sizes of blocks and image, then of each block its length and zlib stream;
            one of length 0 is as in the frame before.
    """
    if len(data) < 4:
        return False
    steps = [16 * (data[place] // 16 + 1) for place in (0, 2)]
    width, height = (int.from_bytes(data[place:place + 2], 'big') & 0xfff for place in (0, 2))
    place = 4
    for top in range(0, height, steps[1]):
        for left in range(0, width, steps[0]):
            start = place + 2
            place = start + int.from_bytes(data[place:start], 'big')
            size = 3 * min(steps[0], width - left) * min(steps[1], height - top)
            if place > start and not _holds(data[start:place], size):
                return False
    return place == len(data)


def _holds(stream: bytes, size: int) -> bool:
    try:
        return len(zlib.decompressobj().decompress(stream, size + 1)) == size
    except zlib.error:
        return False
