"""CLIP's resize and crop."""
import numpy as np
from mmcv.transforms import BaseTransform
from PIL import Image

from mmc2v.registry import TRANSFORMS


@TRANSFORMS.register_module()
class ResizeCenterCrop(BaseTransform):
    """Bicubic resize of the short side, then centre crop, with PIL's kernel as in CLIP.

    Required and modified keys: imgs (list of (H, W, 3) uint8). Modified keys: img_shape.

    Args:
        size (int): Side of the square that remains, in pixels. Defaults to 224.
    """

    def __init__(self, size: int = 224) -> None:
        self.size = size

    def transform(self, results: dict) -> dict:
        """Resize and crop every frame."""
        results['imgs'] = [self._resize_and_crop(image) for image in results['imgs']]
        results['img_shape'] = (self.size, self.size)
        return results

    def _resize_and_crop(self, image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        short = min(height, width)
        # the long side is cut off to an integer, and the crop rounded, as torchvision does
        new_height, new_width = (int(self.size * side / short) for side in (height, width))
        if (new_height, new_width) != (height, width):
            image = np.asarray(Image.fromarray(image).resize((new_width, new_height),
                                                             Image.Resampling.BICUBIC))
        top, left = (round((side - self.size) / 2) for side in (new_height, new_width))
        return image[top:top + self.size, left:left + self.size]

    def __repr__(self) -> str:
        return f'{type(self).__name__}(size={self.size})'
