"""CLIP's resize and crop."""
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from torch.nn import functional as F

from mmc2v.registry import TRANSFORMS
from mmc2v.video import DecodedFrames


def resize(image: np.ndarray, height: int, width: int,
           interpolation: str = 'bicubic') -> np.ndarray:
    """Resize an image by CLIP's kernel, or by the bilinear one, with antialias.

    Args:
        image (np.ndarray): (H, W, 3) uint8.
        height (int): Pixels of the result.
        width (int): Likewise.
        interpolation (str): 'bicubic' or 'bilinear'. Defaults to 'bicubic'.

    Returns:
        np.ndarray: (height, width, 3) uint8.
    """
    channels_last = torch.from_numpy(image).permute(2, 0, 1)[None]
    resized = F.interpolate(channels_last, (height, width), mode=interpolation, antialias=True)
    return resized[0].permute(1, 2, 0).numpy()


@TRANSFORMS.register_module()
class ResizeCenterCrop(BaseTransform):
    """Bicubic resize of the short side, then centre crop, as in CLIP; other models differ.

    The kernel is PIL's, with antialias, in torch's implementation, which takes a fifth to a tenth
    of PIL's time and rounds a few pixels in a thousand otherwise, by 1 or 2 levels.

    Required and modified keys: imgs (list of (H, W, 3) uint8). Modified keys: img_shape.

    Args:
        size (int): Side of the square that remains, in pixels. Defaults to 224.
        interpolation (str): 'bicubic' or 'bilinear' (PE-Core, MobileCLIP). Defaults to 'bicubic'.
        keep_ratio (bool): False squeezes the whole image into the square, as SigLIP and PE-Core
            were trained. Defaults to True.

    Raises:
        ValueError: If the interpolation is unknown.
    """

    def __init__(self, size: int = 224, interpolation: str = 'bicubic',
                 keep_ratio: bool = True) -> None:
        if interpolation not in ('bicubic', 'bilinear'):
            raise ValueError(f"interpolation must be 'bicubic' or 'bilinear', got "
                             f"'{interpolation}'")
        self.size = size
        self.interpolation = interpolation
        self.keep_ratio = keep_ratio

    def transform(self, results: dict) -> dict:
        """Resize and crop every frame."""
        images = results['imgs']
        results['imgs'] = images.map(self._resize_and_crop) if isinstance(
            images, DecodedFrames) else [self._resize_and_crop(image) for image in images]
        results['img_shape'] = (self.size, self.size)
        return results

    def _resize_and_crop(self, image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        if not self.keep_ratio:
            return image if height == width == self.size else resize(
                image, self.size, self.size, self.interpolation)
        short = min(height, width)
        # the long side is cut off to an integer, and the crop rounded, as torchvision does
        new_height, new_width = (int(self.size * side / short) for side in (height, width))
        if (new_height, new_width) != (height, width):
            image = resize(image, new_height, new_width, self.interpolation)
        top, left = (round((side - self.size) / 2) for side in (new_height, new_width))
        return image[top:top + self.size, left:left + self.size]

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(size={self.size}, interpolation={self.interpolation!r}, '
                f'keep_ratio={self.keep_ratio})')
