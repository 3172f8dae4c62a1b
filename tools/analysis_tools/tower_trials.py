"""One try of each backbone of MMAction2 and architecture of open_clip; see survey_towers.py."""
import inspect
from typing import Any

import mmc2v  # noqa: F401  (mends the environment before the others are imported)

# isort: split
import mmaction.models
import mmaction.registry
import open_clip
import torch

from mmc2v.models.clip.architecture import clip_config, is_plain_clip, text_convention
from mmc2v.registry import MODELS
from mmc2v.structures import TextTokens

CAPTIONS = 2
# Small arguments of each backbone, the frames and pixels that it reads, and channels of its output.
SMALL = {
    'C2D': (dict(depth=50), 8, 64, 2048),
    'C3D': (dict(), 16, 112, 4096),
    'MViT': (dict(arch='tiny', temporal_size=8, spatial_size=64), 8, 64, 768),
    'MobileNetV2': (dict(), 8, 64, 1280),
    'MobileNetV2TSM': (dict(num_segments=8, pretrained2d=False), 8, 64, 1280),
    'MobileOneTSM': (dict(arch='s0', num_segments=8, pretrained2d=False), 8, 64, 1024),
    'OmniResNet': (dict(), 8, 64, 2048),
    'ResNet': (dict(depth=18), 8, 64, 512),
    'ResNet2Plus1d': (dict(depth=18, pretrained=None, pretrained2d=False,
                           conv_cfg=dict(type='Conv2plus1d'), norm_cfg=dict(type='BN3d'),
                           act_cfg=dict(type='ReLU')), 8, 64, 512),
    'ResNet3d': (dict(depth=18, pretrained=None, pretrained2d=False), 8, 64, 512),
    'ResNet3dCSN': (dict(depth=50, pretrained=None, pretrained2d=False, bottleneck_mode='ir'),
                    32, 64, 2048),
    'ResNet3dSlowFast': (dict(resample_rate=4, speed_ratio=4), 16, 64, 2048),
    'ResNet3dSlowOnly': (dict(depth=50, pretrained=None, pretrained2d=False), 8, 64, 2048),
    'ResNetTIN': (dict(depth=50, num_segments=8, pretrained2d=False), 8, 64, 2048),
    'ResNetTSM': (dict(depth=18, num_segments=8, pretrained2d=False), 8, 64, 512),
    'SwinTransformer3D': (dict(arch='tiny', pretrained2d=False), 8, 64, 768),
    'TANet': (dict(depth=50, num_segments=8), 8, 64, 2048),
    'TimeSformer': (dict(num_frames=8, img_size=64, patch_size=16, embed_dims=64, num_heads=2,
                         num_transformer_layers=2), 8, 64, 64),
    'UniFormer': (dict(depth=[1, 1, 1, 1], embed_dim=[16, 32, 64, 64], head_dim=16,
                       pretrained2d=False), 8, 64, 64),
    'UniFormerV2': (dict(input_resolution=64, width=64, layers=4, heads=2, t_size=8,
                         return_list=[2, 3], n_layers=2, n_dim=64, n_head=2, mlp_dropout=[0, 0],
                         clip_pretrained=False), 8, 64, 64),
    'VisionTransformer': (dict(img_size=64, embed_dims=64, depth=2, num_heads=2, num_frames=8),
                          8, 64, 64),
    'X3D': (dict(gamma_w=1, gamma_b=2.25, gamma_d=2.2), 8, 64, 432),
}
OTHER_INPUTS = {
    'AAGCN': 'reads skeletons', 'STGCN': 'reads skeletons', 'ResNetAudio': 'reads audio',
    'RGBPoseConv3D': 'reads frames and pose heatmaps together',
    'ResNet3dLayer': 'is one stage of ResNet3d, on features',
}
PACKAGES = {'MobileOneTSM': 'mmpretrain', 'ResNetTIN': 'full mmcv (compiled operators)'}


def retrieval_model(backbone: dict, text_backbone: dict, embed_dim: int, neck: str) -> Any:
    """Build CLIP2Video around two towers."""
    temporal = dict(embed_dim=embed_dim, num_layers=1, max_frames=32)
    necks = {
        'TDB': dict(type='mmc2v.TemporalDifferenceBlock',
                    local_branch=dict(type='mmc2v.DifferenceLocalBranch'), **temporal),
        'transformer': dict(type='mmc2v.TemporalTransformer',
                            local_branch=dict(type='mmc2v.FrameLocalBranch'), **temporal)}
    return MODELS.build(dict(
        type='mmc2v.CLIP2Video', backbone=backbone, text_backbone=text_backbone, neck=necks[neck],
        head=dict(type='mmc2v.RetrievalHead', embed_dim=embed_dim,
                  alignment=dict(type='mmc2v.TemporalAlignmentBlock'))))


def without_gradient(model: torch.nn.Module) -> list[str]:
    """Return names of trainable parameters that got no gradient."""
    return [name for name, parameter in model.named_parameters()
            if parameter.requires_grad and parameter.grad is None]


def reason(error: Exception) -> str:
    """Shorten an error to a cell of a table."""
    return ' '.join(str(error).split())[:140].replace('|', '/')


def captions(text_backbone: torch.nn.Module, vocabulary: int, device: str) -> torch.Tensor:
    """Make token ids that end where they should."""
    end = text_backbone.convention.end_token
    length = min(8, text_backbone.context_length)
    tokens = torch.randint(3, vocabulary - 3, (CAPTIONS, length))
    if end is not None:
        tokens[:, -1] = end
    return tokens.to(device)


def try_mmaction(name: str) -> dict[str, str]:
    """Try one backbone of MMAction2; return the cells of its row."""
    if name in OTHER_INPUTS:
        return dict(backbone=name, works='no', note=OTHER_INPUTS[name])
    arguments, num_frames, size, channels = SMALL[name]
    text = dict(type='mmc2v.CLIPTextTower', arch=dict(
        embed_dim=64, vision_cfg=dict(), text_cfg=dict(width=64, heads=1, layers=1,
                                                       context_length=16, vocab_size=100)))
    tower = dict(type='mmc2v.MMActionBackbone', in_channels=channels, embed_dim=64, out_index=0,
                 backbone=dict(type=name, **arguments))
    if name != 'ResNet3dSlowFast':
        tower.pop('out_index')
    frames, mask = torch.randn(2, num_frames, 3, size, size), torch.ones(2, num_frames).bool()
    note, works = '', 'TDB, TAB'
    try:
        model = retrieval_model(tower, text, 64, 'TDB').train()
        steps = model.backbone(frames, mask)[0].shape[1]
        if steps == 1:
            works, note = 'mean, transformer, TAB', 'one token a clip: no differences for TDB; '
            model = retrieval_model(tower, text, 64, 'transformer').train()
        tokens = captions(model.text_backbone, 100, 'cpu')
        losses = model.loss(dict(frames=frames, frame_mask=mask, tokens=tokens))
        sum(value for key, value in losses.items() if 'loss' in key).backward()
        unused = without_gradient(model)
        if unused:
            note += f'{len(unused)} parameters without gradient'
    except Exception as error:  # whatever it is goes into the table
        note = f'needs {PACKAGES[name]}' if name in PACKAGES else reason(error)
        return dict(backbone=name, works='no', note=note)
    mask[0, -1] = False
    try:
        model.eval()(dict(frames=frames, frame_mask=mask), mode='tensor')
        padding = 'left out'
    except ValueError:
        padding = 'refused'
    adapter = model.backbone
    return dict(backbone=name, reads=adapter.input_format, frames=f'{num_frames} → {steps}',
                padding=padding, works=works, note=note.rstrip('; '))


def mmaction_backbones() -> list[str]:
    """List the backbones of MMAction2's registry, and those whose packages are not installed."""
    found = [name for name, kind in mmaction.registry.MODELS.module_dict.items()
             if inspect.isclass(kind) and kind.__module__.startswith('mmaction.models.backbones')]
    return sorted({*found, *SMALL, *OTHER_INPUTS})


def open_clip_architectures() -> list[str]:
    """List the architectures of open_clip."""
    return open_clip.list_models()


def fits_text_blocks(config: dict) -> bool:
    """Whether temporal blocks can start from text blocks: of one width, with CLIP's MLP."""
    text = config['text_cfg']
    return (text.get('width', 512) == config['embed_dim'] and text.get('mlp_ratio', 4) == 4)


def run_open_clip(arch: str, config: dict, device: str) -> tuple[int, list[str]]:
    """Go forward and backward; return millions of parameters and those without gradient.

    Raises:
        ArithmeticError: If a loss is not finite.
    """
    with torch.device(device):
        model = retrieval_model(dict(type='mmc2v.CLIPVisionTower', arch=arch),
                                dict(type='mmc2v.CLIPTextTower', arch=arch), config['embed_dim'],
                                'TDB')
        frames = torch.zeros(2, 3, 3, *model.backbone.image_size)
        mask = torch.ones(2, 3, dtype=torch.bool)
    if device == 'cpu':
        frames.normal_()
    tokens = captions(model.text_backbone, config['text_cfg'].get('vocab_size', 49408), device)
    text: TextTokens = model.text_backbone(tokens)
    video = model.neck(*model.backbone(frames, mask))
    losses = model.head.loss(model.head.embed_text(text), model.head.embed_video(video))
    loss = losses['loss_global'] + losses['loss_aligned']
    loss.backward()
    if device == 'cpu' and not loss.isfinite():
        raise ArithmeticError(f'the loss is {float(loss)}')
    count = sum(parameter.numel() for part in (model.backbone, model.text_backbone)
                for parameter in part.parameters())
    return round(count / 1e6), without_gradient(model)


def try_open_clip(arch: str, run_below: float) -> dict[str, str]:
    """Try one architecture; return the cells of its row."""
    try:
        config = clip_config(arch)
        text_convention(config)
        millions, unused = run_open_clip(arch, config, 'meta')
        ran = 'shapes'
        if millions < run_below:
            run_open_clip(arch, config, 'cpu')
            ran = 'values'
    except Exception as error:  # whatever it is goes into the table
        return dict(architecture=arch, works='no', note=reason(error))
    vision, text = config['vision_cfg'], config['text_cfg']
    note = [] if fits_text_blocks(config) else ['`init_from_text=False`']
    if not note and text.get('heads', 8) != config['embed_dim'] // 64:
        note.append(f"`num_heads={text.get('heads', 8)}`")
    if unused:
        note.append(f'{len(unused)} parameters without gradient, such as {unused[0]}')
    return dict(
        architecture=arch, works=f'TDB, TAB ({ran})', M=str(millions),
        size=str(vision.get('image_size', 224)), width=str(config['embed_dim']),
        tower='own ViT' if is_plain_clip(config) else vision.get('timm_model_name', 'ResNet'),
        context=str(text.get('context_length', 77)),
        tokenizer=text.get('hf_tokenizer_name', 'CLIP'),
        pooling={'argmax': 'end token', 'eos': 'end token'}.get(
            text.get('pool_type', 'argmax'), text.get('pool_type')),
        note='; '.join(note))


def table(rows: list[dict[str, str]], columns: list[str]) -> list[str]:
    """Lay out rows as Markdown."""
    lines = ['| ' + ' | '.join(columns) + ' |', '|' + '---|' * len(columns)]
    return lines + ['| ' + ' | '.join(row.get(key, '') for key in columns) + ' |' for row in rows]
