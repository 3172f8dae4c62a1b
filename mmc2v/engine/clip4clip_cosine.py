"""CLIP4Clip's schedule."""
import math

from mmc2v.registry import PARAM_SCHEDULERS

from .warmup_cosine import WarmupLR


@PARAM_SCHEDULERS.register_module()
class CLIP4ClipCosineLR(WarmupLR):
    """The learning rate rises linearly from 0, then is that of a cosine over the whole training.

    The cosine begins with training and not with the end of the warm-up. With a warm-up of a tenth
    the rate comes near its full value, falls at once to 0.976 of it, and goes on by the cosine. At
    the first iteration the rate is 0. Source: ``warmup_cosine`` of modules/optimization.py,
    https://github.com/ArrowLuo/CLIP4Clip.

    Args:
        optimizer, warmup, by_epoch, **kwargs: As :class:`~mmc2v.engine.warmup_cosine.WarmupLR` has
            them.
    """

    def _factor(self, step: int, steps: int) -> float:
        progress = step / steps
        warmup = self.warmup / steps if isinstance(self.warmup, int) else self.warmup
        return progress / warmup if progress < warmup else (1 + math.cos(math.pi * progress)) / 2
