"""How time steps are read from MMAction2's backbones.

B videos, T frames, T' time steps of a backbone's output, C its channels.
"""
from collections.abc import Callable, Sequence

from torch import Tensor, nn


def mean_over_space(features: Tensor) -> Tensor:
    """Return (B, C, T', H, W) feature maps as (B, T', C)."""
    return features.mean(dim=(-2, -1)).transpose(1, 2)


def call_backbone(backbone: nn.Module, clips: Tensor, out_index: int) -> Tensor:
    """Return one output of a backbone, feature maps or a vector.

    Several stages or paths are a tuple; a stage of MViT is a list of the map and the class token.
    """
    output = backbone(clips)
    if isinstance(output, (tuple, list)):
        output = output[out_index]
    return output[0] if isinstance(output, (tuple, list)) else output


def _read_maps(backbone: nn.Module, clips: Tensor, out_index: int) -> Tensor:
    """Read what returns feature maps over time, or else one vector for the whole clip."""
    output = call_backbone(backbone, clips, out_index)
    return output[:, None] if output.ndim == 2 else mean_over_space(output)


def _read_uniformerv2(backbone: nn.Module, clips: Tensor, out_index: int) -> Tensor:
    """Undo the mean over frames in UniFormerV2's last step.

    Its output is norm(clip token * (1 - w) + mean of the frames' class tokens * w); here each
    frame's own token stands in the place of the mean.
    """
    transformer = backbone.transformer
    seen = {}
    with (transformer.resblocks[-1].register_forward_hook(
              lambda module, inputs, output: seen.update(frames=output[0])),
          transformer.norm.register_forward_pre_hook(
              lambda module, inputs: seen.update(mixed=inputs[0]))):
        backbone(clips)
    frames = seen['frames'].view(len(clips), transformer.T, -1)
    off_mean = frames - frames.mean(dim=1, keepdim=True)
    return transformer.norm(seen['mixed'][:, None] + transformer.balance.sigmoid() * off_mean)


def _read_timesformer(backbone: nn.Module, clips: Tensor, out_index: int) -> Tensor:
    """Take the mean patch of each frame, where TimeSformer takes the class token of the clip."""
    seen = {}
    with backbone.transformer_layers.register_forward_hook(
            lambda module, inputs, output: seen.update(tokens=output)):
        backbone(clips)
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


def reader_of(names: Sequence[str]) -> Callable[[nn.Module, Tensor, int], Tensor]:
    """Return what reads (B, T', C) tokens from clips by a backbone of these classes.

    Args:
        names (Sequence[str]): Its class and those that it inherits from.
    """
    return next((_READERS[name] for name in names if name in _READERS), _read_maps)
