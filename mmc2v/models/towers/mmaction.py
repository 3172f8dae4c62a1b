"""Backbones of MMAction2 as video towers.

B videos, T frames, T' time steps of a backbone's output, C its channels, D embedding width.
"""
from typing import Optional

from mmengine.model import BaseModule
from torch import Tensor, nn

from mmc2v.registry import MODELS

from ..parts import Part, build_part, load_pretrained
from .readers import call_backbone, reader_of
from .valid_frames import encode_valid

# Backbones that read images, (B * T, 3, H, W); all others read clips, (B, 3, T, H, W).
_IMAGE_BACKBONES = ('ResNet', 'MobileNetV2', 'MobileOneTSM')


def _build_backbone(backbone: Part) -> tuple[nn.Module, Optional[dict]]:
    """Build it in MMAction2's scope, where the names of its own parts are looked up.

    Returns:
        tuple[nn.Module, dict | None]: The backbone, and its ``init_cfg`` if that names a
        checkpoint: half of MMAction2's backbones would not look at it.
    """
    if not isinstance(backbone, dict):
        return backbone, None
    config = {'_scope_': 'mmaction', **backbone}
    weights = config.get('init_cfg') or {}
    if not isinstance(weights, dict) or weights.get('type') != 'Pretrained':
        return build_part(config), None
    del config['init_cfg']
    return build_part(config), dict(weights)


def _remove_unread_path(backbone: nn.Module, out_index: int) -> None:
    """Take out of SlowFast what has no part in the path that is read.

    Its parameters would get no gradient, which breaks distributed training.
    """
    if out_index == 0:
        setattr(backbone.fast_path, backbone.fast_path.res_layers[-1], nn.Identity())
    else:
        backbone.slow_path = BaseModule()


@MODELS.register_module()
class MMActionBackbone(BaseModule):
    """A backbone of MMAction2 as the video tower: space is pooled, the width projected.

    Time is kept: the neck gets a token for each time step of the backbone, which strides may make
    fewer than frames. Where a video is shorter than T frames:

    - backbones that see one image at a time (ResNet, MobileNetV2) see the valid frames alone, so
      that padding has no influence, not even through batch norm, and the mask is passed on;
    - all others mix frames, cannot leave any out, and refuse padding. Sample with
      ``SampleGridFrames(fill=True)`` or MMAction2's own sampling, which fill clips.

    Args:
        backbone (dict | nn.Module): Such as ``dict(type='ResNetTSM', depth=50, ...)``, looked up
            in the scope 'mmaction'. It loads weights by ``init_cfg=dict(type='Pretrained',
            checkpoint=..., prefix='backbone.')``, as everywhere in MMAction2.
        in_channels (int): Channels C of its output.
        embed_dim (int): Width D of the retrieval model.
        out_index (int): Which of several outputs is read, as SlowFast's 0 (slow) and 1 (fast).
            Defaults to the last.
        input_format (str, optional): 'NCHW' if the backbone reads images, 'NCTHW' if clips.
            Defaults to what the backbones of MMAction2 read.

    Attributes:
        loaded (set[str]): Names of parameters that :meth:`init_weights` took from a checkpoint.

    Raises:
        ValueError: If the format is unknown, or the backbone gets or gives what does not fit.
    """

    def __init__(self, backbone: Part, in_channels: int, embed_dim: int, out_index: int = -1,
                 input_format: Optional[str] = None, init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg)
        self.backbone, self._checkpoint = _build_backbone(backbone)
        self.loaded: set[str] = set()
        names = [base.__name__ for base in type(self.backbone).__mro__]
        if 'ResNet3dSlowFast' in names:
            _remove_unread_path(self.backbone, out_index)
        if input_format is None:
            reads_images = any(name in _IMAGE_BACKBONES for name in names) and 'C2D' not in names
            input_format = 'NCHW' if reads_images else 'NCTHW'
        if input_format not in ('NCHW', 'NCTHW'):
            raise ValueError(f"input_format must be 'NCHW' or 'NCTHW', got '{input_format}'")
        self.input_format = input_format
        self.in_channels = in_channels
        self.embed_dim = embed_dim
        self.out_index = out_index
        self.projection = nn.Linear(in_channels, embed_dim)
        self._read = reader_of(names)

    def init_weights(self) -> None:
        """Load the checkpoint that the backbone's ``init_cfg`` names, or else draw its weights."""
        if self._checkpoint is None:
            super().init_weights()
            return
        options = {key: value for key, value in self._checkpoint.items() if key != 'type'}
        self.loaded = {f'backbone.{name}' for name in load_pretrained(self.backbone, **options)}
        self.is_init = True

    @property
    def sees_frames_alone(self) -> bool:
        """Whether each frame is encoded without the others."""
        return self.input_format == 'NCHW' and not hasattr(self.backbone, 'num_segments')

    @property
    def num_frames(self) -> Optional[int]:
        """The number of frames that the backbone was built for; None if any will do."""
        steps = getattr(getattr(self.backbone, 'transformer', None), 'T', None)
        if steps is not None:  # UniFormerV2, which may halve time at its entrance
            return steps * self.backbone.conv1.stride[0]
        return getattr(self.backbone, 'num_segments', getattr(self.backbone, 'num_frames', None))

    def forward(self, frames: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Encode videos.

        Args:
            frames (Tensor): (B, T, 3, H, W), normalised.
            mask (Tensor): (B, T) bool, True = valid.

        Returns:
            tuple[Tensor, Tensor]: (B, T', D) tokens, zero where padded; (B, T') their mask.
        """
        if self.sees_frames_alone:
            return encode_valid(self._encode_images, frames, mask), mask
        self._check_clips(frames, mask)
        if self.input_format == 'NCHW':
            tokens = self._encode_images(frames.flatten(0, 1)).unflatten(0, (frames.shape[0], -1))
        else:
            tokens = self._project(self._read(
                self.backbone, frames.transpose(1, 2).contiguous(), self.out_index))
        return tokens, mask.new_ones(tokens.shape[:2])

    def _encode_images(self, images: Tensor) -> Tensor:
        """Embed (M, 3, H, W) images as (M, D)."""
        maps = call_backbone(self.backbone, images, self.out_index)
        return self._project(maps.mean(dim=(-2, -1)))

    def _project(self, tokens: Tensor) -> Tensor:
        if tokens.shape[-1] != self.in_channels:
            raise ValueError(f'in_channels={self.in_channels}, but {type(self.backbone).__name__} '
                             f'gives {tokens.shape[-1]}: set in_channels to that')
        return self.projection(tokens)

    def _check_clips(self, frames: Tensor, mask: Tensor) -> None:
        name, num_frames = type(self.backbone).__name__, self.num_frames
        if num_frames is not None and frames.shape[1] != num_frames:
            raise ValueError(f'{name} was built for {num_frames} frames, got {frames.shape[1]}: '
                             'set the num_frames of the sampling, or that of the backbone')
        short = (~mask.all(dim=1)).nonzero().flatten().tolist()
        if short:
            raise ValueError(f'videos {short} of the batch have fewer than {frames.shape[1]} '
                             f'frames, and {name} cannot leave padding out: fill them by '
                             'SampleGridFrames(fill=True)')
