"""Measure how far our frames are from the published path's on real videos.

    python tools/analysis_tools/preprocessing_parity.py video1.mp4 video2.mp4

Ours: decode, CLIP's bicubic, centre crop. Published: frames written as JPEG files of the highest
quality (ffmpeg -r 5 -q 0), read by PIL, then the same resize. MMAction2's usual resize (OpenCV,
bilinear) is measured beside it. Prints the mean and largest difference in levels of 255, and the
cosine of a ViT-B/32's embeddings; give weights by --weights, otherwise they are random. Cosines of
different frames of the video show how much the embeddings can tell apart.
"""
from __future__ import annotations

import io
import sys
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import cv2
import numpy as np
from PIL import Image

sys.path.append(str(Path(__file__).resolve().parents[1]))
from command_line import Parser, positive_int, run

if TYPE_CHECKING:
    import torch

    from mmc2v.models import CLIPVisionTower
    from mmc2v.video.reader import VideoReader

ARCH = 'ViT-B-32-quickgelu'


def sampled(path: str, num_frames: int) -> tuple[VideoReader, np.ndarray]:
    """Return the reader of a video and the numbers of the frames that evaluation samples."""
    from mmc2v.datasets.transforms import (
        BACKENDS,
        choose_grid_frames,
        grid_size,
        grid_to_frames,
    )

    reader = BACKENDS['pyav'](path)
    grid = choose_grid_frames(grid_size(reader.duration), num_frames)
    return reader, grid_to_frames(reader.times, grid)


def jpeg_round_trip(path: str, numbers: np.ndarray) -> list[np.ndarray]:
    """Return frames, (H, W, 3) uint8, after ffmpeg's JPEG encoder and PIL's decoder.

    The encoder gets the decoder's planes, as in ffmpeg, without a way over RGB.
    """
    wanted = set(numbers.tolist())
    images = []
    with av.open(path) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index not in wanted:
                continue
            encoder = av.CodecContext.create('mjpeg', 'w')
            encoder.width, encoder.height = frame.width, frame.height
            encoder.pix_fmt, encoder.time_base = 'yuvj420p', Fraction(1, 5)
            encoder.options = {'qmin': '2', 'qmax': '2'}  # what -q 0 is clipped to
            frame.pts = None
            planes = frame.reformat(format='yuvj420p')
            packets = [*encoder.encode(planes), *encoder.encode(None)]
            jpeg = b''.join(bytes(packet) for packet in packets)
            images.append(np.asarray(Image.open(io.BytesIO(jpeg)).convert('RGB')))
    return images


def opencv_resize(images: list[np.ndarray], size: int = 224) -> list[np.ndarray]:
    """Resize bilinearly and crop, as MMAction2's pipelines do."""
    results = []
    for image in images:
        height, width = image.shape[:2]
        scale = size / min(height, width)
        shape = (max(size, round(width * scale)), max(size, round(height * scale)))
        image = cv2.resize(image, shape, interpolation=cv2.INTER_LINEAR)
        top, left = (image.shape[0] - size) // 2, (image.shape[1] - size) // 2
        results.append(image[top:top + size, left:left + size])
    return results


def embed(model: CLIPVisionTower, images: list[np.ndarray]) -> torch.Tensor:
    """Return (T, D) unit vectors."""
    import torch
    from torch.nn import functional as F

    from mmc2v.models import RetrievalDataPreprocessor

    frames = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
    mask = torch.ones(len(images), dtype=torch.bool)
    batch = RetrievalDataPreprocessor()(dict(inputs=dict(frames=[frames], frame_mask=[mask])))
    with torch.inference_mode():
        tokens, _ = model(batch['inputs']['frames'], batch['inputs']['frame_mask'])
        return F.normalize(tokens[0], dim=-1)


def main() -> None:
    """Print a table."""
    parser = Parser(__doc__)
    parser.add_argument('videos', nargs='+', help='video files')
    parser.add_argument('--weights', help='CLIP weights of ViT-B/32: a file, or openai; default '
                        'random ones')
    parser.add_argument('--num-frames', type=positive_int, default=12,
                        help='frames of each video; default 12')
    args = parser.parse_args()
    import torch

    from mmc2v.datasets.transforms import ResizeCenterCrop
    from mmc2v.models import CLIPVisionTower
    from mmc2v.models.clip.weights import read_clip_weights

    torch.manual_seed(0)
    model = CLIPVisionTower(ARCH).eval()
    if args.weights:
        model.init_from_clip(read_clip_weights(args.weights, ARCH))
    crop = ResizeCenterCrop(224)
    print(f'{"video":24} {"against":12} {"mean":>6} {"largest":>8} {"least cosine":>13}')
    for path in args.videos:
        reader, numbers = sampled(path, args.num_frames)
        frames = reader.read(numbers)
        ours = crop.transform(dict(imgs=frames))['imgs']
        reference = embed(model, ours)
        others = {'published': crop.transform(dict(imgs=jpeg_round_trip(path, numbers)))[
            'imgs'], 'OpenCV': opencv_resize(frames)}
        for name, images in others.items():
            difference = np.abs(np.stack(images).astype(int) - np.stack(ours))
            cosine = (embed(model, images) * reference).sum(dim=1)
            print(f'{path.rsplit("/", 1)[-1]:24.24} {name:12} {difference.mean():6.2f} '
                  f'{difference.max():8d} {cosine.min():13.6f}')
        if len(reference) > 1:
            spread = (reference[1:] * reference[:-1]).sum(dim=1)
            print(f'{"":24} {"next frame":12} {"":6} {"":8} {spread.min():13.6f}')


if __name__ == '__main__':
    run(main)
