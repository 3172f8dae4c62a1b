"""Seams to MMAction2: its backbones as video towers.

B videos, T frames, T' time steps of a backbone's output, C its channels, D embedding width.
"""
import logging
from collections.abc import Callable
from typing import Optional

from mmengine.logging import print_log
from mmengine.model import BaseModule
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor, nn

from mmc2v.registry import MODELS

from .parts import Part, build_part


def mean_over_space(features: Tensor) -> Tensor:
    """Return (B, C, T', H, W) feature maps as (B, T', C)."""
    return features.mean(dim=(-2, -1)).transpose(1, 2)


def _call(backbone: nn.Module, clips: Tensor, out_index: int) -> Tensor:
    """Return one output of a backbone, feature maps or a vector.

    Several stages or paths are a tuple; a stage of MViT is a list of the map and the class token.
    """
    output = backbone(clips)
    if isinstance(output, (tuple, list)):
        output = output[out_index]
    return output[0] if isinstance(output, (tuple, list)) else output


def _read_maps(backbone: nn.Module, clips: Tensor, out_index: int) -> Tensor:
    """Read what returns feature maps over time, or else one vector for the whole clip."""
    output = _call(backbone, clips, out_index)
    return output[:, None] if output.ndim == 2 else mean_over_space(output)


def _read_uniformerv2(backbone: nn.Module, clips: Tensor, out_index: int) -> Tensor:
    """Undo the mean over frames in UniFormerV2's last step.

    Its output is norm(clip token * (1 - w) + mean of the frames' class tokens * w); here each
    frame's own token stands in the place of the mean.
    """
    transformer = backbone.transformer
    seen = {}
    hooks = [transformer.resblocks[-1].register_forward_hook(
                 lambda module, inputs, output: seen.update(frames=output[0])),
             transformer.norm.register_forward_pre_hook(
                 lambda module, inputs: seen.update(mixed=inputs[0]))]
    try:
        backbone(clips)
    finally:
        for hook in hooks:
            hook.remove()
    frames = seen['frames'].view(len(clips), transformer.T, -1)
    own = frames - frames.mean(dim=1, keepdim=True)
    return transformer.norm(seen['mixed'][:, None] + transformer.balance.sigmoid() * own)


def _read_timesformer(backbone: nn.Module, clips: Tensor, out_index: int) -> Tensor:
    """Take the mean patch of each frame, where TimeSformer takes the class token of the clip."""
    seen = {}
    hook = backbone.transformer_layers.register_forward_hook(
        lambda module, inputs, output: seen.update(tokens=output))
    try:
        backbone(clips)
    finally:
        hook.remove()
    tokens, num_frames = seen['tokens'], clips.shape[2]
    if backbone.attention_type == 'space_only':  # (B T, 1 + P, C)
        patches = tokens[:, 1:].unflatten(0, (-1, num_frames))
    else:  # (B, 1 + P T, C), frames within patches
        patches = tokens[:, 1:].unflatten(1, (-1, num_frames)).transpose(1, 2)
    return backbone.norm(patches.mean(dim=2))


def _read_videomae(backbone: nn.Module, clips: Tensor, out_index: int) -> Tensor:
    """Take the mean patch of each tubelet, normed as the mean of the clip would be."""
    keep, backbone.return_feat_map = backbone.return_feat_map, True
    try:
        tokens = mean_over_space(backbone(clips))
    finally:
        backbone.return_feat_map = keep
    return tokens if backbone.fc_norm is None else backbone.fc_norm(tokens)


def _read_slowfast(backbone: nn.Module, clips: Tensor, out_index: int) -> Tensor:
    """Run SlowFast's slow path, which needs the fast one, or the fast one alone."""
    if out_index == 0:
        return mean_over_space(backbone(clips)[0])
    path, stride = backbone.fast_path, backbone.resample_rate // backbone.speed_ratio
    hidden = path.maxpool(path.conv1(clips[:, :, ::stride]))
    for name in path.res_layers:  # and not by its own forward, which would pool time
        hidden = getattr(path, name)(hidden)
    return mean_over_space(hidden)


# Backbones whose time steps are read otherwise than from one output.
_READERS: dict[str, Callable[[nn.Module, Tensor, int], Tensor]] = {
    'UniFormerV2': _read_uniformerv2, 'TimeSformer': _read_timesformer,
    'VisionTransformer': _read_videomae, 'ResNet3dSlowFast': _read_slowfast}
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


def load_pretrained(module: nn.Module, checkpoint: str, prefix: str = '',
                    map_location: str = 'cpu') -> set[str]:
    """Load what fits of a checkpoint, and say what does not.

    Args:
        module (nn.Module): Takes the weights.
        checkpoint (str): File or address.
        prefix (str): What stands before the module's own names. Defaults to nothing.
        map_location (str): Where to. Defaults to 'cpu'.

    Returns:
        set[str]: Names of the module that were set.

    Raises:
        ValueError: If nothing fits.
    """
    content = CheckpointLoader.load_checkpoint(checkpoint, map_location=map_location)
    state = content.get('state_dict', content)
    state = {key.removeprefix(prefix): value for key, value in state.items()
             if key.startswith(prefix)}
    own = module.state_dict()
    fitting = {key: value for key, value in state.items()
               if key in own and own[key].shape == value.shape}
    if not fitting:
        raise ValueError(
            f"nothing of '{checkpoint}' fits {type(module).__name__}: below prefix='{prefix}' it "
            f'has {list(state)[:3]}, wanted are {list(own)[:3]}. In a recognizer the prefix is '
            "'backbone.'")
    missing = [key for key in own if key not in fitting and 'num_batches_tracked' not in key]
    if missing:
        print_log(f"{len(missing)} of {len(own)} weights of {type(module).__name__} are not in "
                  f"'{checkpoint}' or have another shape there, and stay random: {missing}",
                  logger='current', level=logging.WARNING)
    module.load_state_dict(fitting, strict=False)
    return set(fitting)


def _remove_unread_path(backbone: nn.Module, out_index: int) -> None:
    """Take out of SlowFast what has no part in the path that is read.

    Its parameters would get no gradient, which breaks distributed training.
    """
    if out_index == 0:
        setattr(backbone.fast_path, backbone.fast_path.res_layers[-1], nn.Identity())
    else:
        backbone.slow_path = BaseModule()


def _class_names(module: nn.Module) -> list[str]:
    return [base.__name__ for base in type(module).__mro__]


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

    Raises:
        ValueError: If the format is unknown, or the backbone gets or gives what does not fit.
    """

    takes_mask = True  # see CLIP2Video.embed_video

    def __init__(self, backbone: Part, in_channels: int, embed_dim: int, out_index: int = -1,
                 input_format: Optional[str] = None, init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg)
        self.backbone, self._weights = _build_backbone(backbone)
        names = _class_names(self.backbone)
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
        self._read = next((_READERS[name] for name in names if name in _READERS), _read_maps)

    def init_weights(self) -> None:
        """Load the checkpoint that the backbone's ``init_cfg`` names, or else draw its weights."""
        if self._weights is None:
            super().init_weights()
            return
        weights = {key: value for key, value in self._weights.items() if key != 'type'}
        names = load_pretrained(self.backbone, **weights)
        record = getattr(self, '_params_init_info', {})  # MMEngine's, while a model is initialised
        for name, parameter in self.backbone.named_parameters():
            if name in names and parameter in record:
                record[parameter].update(init_info=f"load from {weights['checkpoint']}",
                                         tmp_mean_value=parameter.data.mean().cpu())
        self._is_init = True

    @property
    def sees_frames_alone(self) -> bool:
        """Whether each frame is encoded without the others."""
        return self.input_format == 'NCHW' and not hasattr(self.backbone, 'num_segments')

    @property
    def num_frames(self) -> Optional[int]:
        """The number of frames that the backbone was built for; None if any will do."""
        transformer = getattr(self.backbone, 'transformer', None)
        for value in (getattr(self.backbone, 'num_segments', None),
                      getattr(self.backbone, 'num_frames', None), getattr(transformer, 'T', None)):
            if value is not None:
                return value
        return None

    def forward(self, frames: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Encode videos.

        Args:
            frames (Tensor): (B, T, 3, H, W), normalised.
            mask (Tensor): (B, T) bool, True = valid.

        Returns:
            tuple[Tensor, Tensor]: (B, T', D) tokens, zero where padded; (B, T') their mask.
        """
        if self.sees_frames_alone:
            return self._encode_images(frames, mask)
        self._check_clips(frames, mask)
        if self.input_format == 'NCHW':
            output = _call(self.backbone, frames.flatten(0, 1), self.out_index)
            tokens = output.mean(dim=(-2, -1)).unflatten(0, (len(frames), -1))
        else:
            tokens = self._read(self.backbone, frames.transpose(1, 2).contiguous(),
                                self.out_index)
        return self._project(tokens), mask.new_ones(tokens.shape[:2])

    def _encode_images(self, frames: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Encode the valid frames and put zeros in the place of the others."""
        output = self._project(_call(self.backbone, frames[mask], self.out_index).mean(
            dim=(-2, -1)))
        tokens = output.new_zeros(*mask.shape, self.embed_dim)
        tokens[mask] = output
        return tokens, mask

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


@MODELS.register_module()
class FeatureProjection(BaseModule):
    """Stands in the place of a video tower where frame features were extracted before.

    Args:
        in_channels (int): Channels C of the features.
        embed_dim (int): Width D of the retrieval model.
    """

    def __init__(self, in_channels: int, embed_dim: int, init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg)
        self.in_channels = in_channels
        self.embed_dim = embed_dim
        self.norm = nn.LayerNorm(in_channels)
        self.projection = nn.Linear(in_channels, embed_dim)

    def forward(self, features: Tensor) -> Tensor:
        """Project (*, C) features to (*, D).

        Raises:
            ValueError: If they have another width.
        """
        if features.shape[-1] != self.in_channels:
            raise ValueError(f'the features have {features.shape[-1]} channels, in_channels is '
                             f'{self.in_channels}')
        return self.projection(self.norm(features))
