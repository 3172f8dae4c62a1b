"""Videos of every kind, made by PyAV, in which every frame is another."""
from fractions import Fraction

import av
import cv2
import numpy as np


def images(num_frames=60, height=96, width=128, seed=0):
    """Moving smooth texture with a block that counts frames: cheap, and no two are alike."""
    rng = np.random.default_rng(seed)
    canvas = cv2.resize(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8), (2 * width, 2 * height),
                        interpolation=cv2.INTER_CUBIC)
    for number in range(num_frames):
        image = canvas[number % height:, number % width:][:height, :width].copy()
        for bit in range(8):
            image[8:20, 8 + 10 * bit:18 + 10 * bit] = 255 * (number >> bit & 1)
        yield image


def write(path, codec='libx264', num_frames=60, height=96, width=128, rate=25, pix_fmt='yuv420p',
          options=(), container_options=(), times=None, rotation=None, container_format=None):
    """Write a video; ``times`` are presentation times in milliseconds."""
    with av.open(str(path), 'w', format=container_format,
                 options=dict(container_options)) as container:
        stream = container.add_stream(codec, rate=rate, options=dict(options))
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        if times is not None:
            stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        if rotation is not None:
            stream.set_display_rotation(rotation)
        for number, image in enumerate(images(num_frames, height, width)):
            frame = av.VideoFrame.from_ndarray(image, 'rgb24')
            if times is not None:
                frame.pts, frame.time_base = times[number], stream.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return str(path)


def sequential(path):
    """All frames by decoding from the beginning, in order, with their times."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        return [frame.to_ndarray(format='rgb24') for frame in frames], [f.pts for f in frames]
