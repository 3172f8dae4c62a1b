"""The two halves of a CLIP model of open_clip as two backbones.

N images or captions, T frames, L text tokens, D embedding width.
"""
import copy
from collections.abc import Mapping, Sequence
from typing import Optional, Union

import open_clip
import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmc2v.registry import MODELS
from mmc2v.structures import TextTokens

from .parts import copy_from_clip

# What stands in for the half of a CLIP model that a tower does not need.
_SMALLEST_VISION = dict(layers=1, width=64, patch_size=32, image_size=32)
_SMALLEST_TEXT = dict(layers=1, width=64, heads=1, vocab_size=2)


def clip_config(arch: Union[str, dict]) -> dict:
    """Return the architecture of a CLIP model.

    Args:
        arch (str | dict): A name that open_clip knows, such as 'ViT-B-32-quickgelu', or a dict
            with ``embed_dim``, ``vision_cfg``, ``text_cfg`` and optionally ``quick_gelu`` in
            open_clip's format.

    Returns:
        dict: Arguments of :class:`open_clip.CLIP`, a copy.

    Raises:
        ValueError: If open_clip does not know the name, keys are missing or unknown, or the model
            is not of CLIP's own two-tower kind.
    """
    config = open_clip.get_model_config(arch) if isinstance(arch, str) else copy.deepcopy(
        dict(arch))
    if config is None:
        raise ValueError(f"open_clip does not know the architecture '{arch}'; "
                         'open_clip.list_models() lists the names')
    towers = {*config.get('vision_cfg', {}), *config.get('text_cfg', {})}
    if towers & {'timm_model_name', 'hf_model_name'} or config.pop('custom_text', False):
        raise ValueError(f"'{arch}' is not a CLIP model with open_clip's own two towers")
    if isinstance(config.get('vision_cfg', {}).get('layers'), (list, tuple)):
        raise ValueError(f"'{arch}' is a ResNet; this needs a CLIP with a vision transformer")
    needed, optional = {'embed_dim', 'vision_cfg', 'text_cfg'}, {'quick_gelu'}
    if needed - set(config) or set(config) - needed - optional:
        raise ValueError(f'arch={arch} must have the keys {sorted(needed)} and may have '
                         f'{sorted(optional)}, got {sorted(config)}')
    return config


def freeze_layers(tower: nn.Module, blocks: nn.ModuleList, num: int,
                  before: Sequence[str]) -> None:
    """Freeze the lower part of a tower.

    Args:
        tower (nn.Module): The tower.
        blocks (nn.ModuleList): Its transformer blocks.
        num (int): How many of them; -1 freezes nothing.
        before (Sequence[str]): Prefixes of parameters that come before the blocks.

    Raises:
        ValueError: If there are fewer blocks.
    """
    if not -1 <= num <= len(blocks):
        raise ValueError(f'freeze_layer_num={num}, but the tower has {len(blocks)} blocks; -1 '
                         'freezes nothing')
    if num >= 0:
        for name, parameter in tower.named_parameters():
            if name.startswith(tuple(before)):
                parameter.requires_grad_(False)
        blocks[:num].requires_grad_(False)


@MODELS.register_module()
class CLIPVisionTower(BaseModule):
    """CLIP's image encoder.

    Args:
        arch (str | dict): See :func:`clip_config`.
        position_std (float, optional): Standard deviation of random position embeddings. Defaults
            to open_clip's width ** -0.5, which is little beside the patches when a small tower
            learns from scratch where things are. CLIP weights replace them.
        grad_checkpointing (bool): Recompute blocks in backward to save memory. Defaults to False.
        freeze_layer_num (int): As in CLIP4Clip: freeze what comes before the blocks (patches,
            class and position embeddings, their norm) and this many blocks. Defaults to -1: train
            everything.

    Raises:
        ValueError: If there are fewer blocks than are to be frozen.
    """

    def __init__(self, arch: Union[str, dict], position_std: Optional[float] = None,
                 grad_checkpointing: bool = False, freeze_layer_num: int = -1,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg)
        config = clip_config(arch)
        self.arch = arch
        self.embed_dim = config['embed_dim']
        self.visual = open_clip.CLIP(**{**config, 'text_cfg': _SMALLEST_TEXT}).visual
        self.visual.set_grad_checkpointing(grad_checkpointing)
        if position_std is not None:
            nn.init.normal_(self.visual.positional_embedding, std=position_std)
        self.image_size = tuple(self.visual.image_size)
        freeze_layers(self.visual, self.visual.transformer.resblocks, freeze_layer_num,
                      ('conv1.', 'class_embedding', 'positional_embedding', 'ln_pre.'))

    def init_from_clip(self, clip: Mapping[str, Tensor]) -> set[str]:
        """Take the image encoder's weights; every parameter is set."""
        return {f'visual.{name}' for name in copy_from_clip(self.visual, clip, 'visual.')}

    def forward(self, images: Tensor) -> Tensor:
        """Embed images.

        Args:
            images (Tensor): (*, 3, H, W), normalised, any leading dimensions.

        Returns:
            Tensor: (*, D), not normalised.

        Raises:
            ValueError: If images have another size than the architecture's.
        """
        if tuple(images.shape[-3:]) != (3, *self.image_size):
            raise ValueError(f'images are {tuple(images.shape[-3:])}, but this CLIP reads '
                             f'{(3, *self.image_size)}: set the size of the resize and crop')
        embeddings = self.visual(images.reshape(-1, *images.shape[-3:]))
        return embeddings.view(*images.shape[:-3], -1)


@MODELS.register_module()
class CLIPTextTower(BaseModule):
    """CLIP's text encoder, with all tokens projected.

    Args:
        arch (str | dict): See :func:`clip_config`.
        end_token (int, optional): Id of the end token. Defaults to the last of the vocabulary,
            as in CLIP.
        grad_checkpointing (bool): Recompute blocks in backward to save memory. Defaults to False.
        freeze_layer_num (int): As in CLIP4Clip: freeze token and position embeddings and this many
            blocks. Defaults to -1: train everything.

    Raises:
        ValueError: If there are fewer blocks than are to be frozen.
    """

    def __init__(self, arch: Union[str, dict], end_token: Optional[int] = None,
                 grad_checkpointing: bool = False, freeze_layer_num: int = -1,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg)
        config = clip_config(arch)
        self.arch = arch
        clip = open_clip.CLIP(**{**config, 'vision_cfg': _SMALLEST_VISION})
        self.embed_dim = config['embed_dim']
        self.context_length = clip.context_length
        self.end_token = clip.vocab_size - 1 if end_token is None else end_token
        self.token_embedding = clip.token_embedding
        self.positional_embedding = clip.positional_embedding
        self.transformer = clip.transformer
        self.transformer.grad_checkpointing = grad_checkpointing
        self.ln_final = clip.ln_final
        self.text_projection = clip.text_projection
        self.register_buffer('attn_mask', clip.attn_mask, persistent=False)
        freeze_layers(self, self.transformer.resblocks, freeze_layer_num,
                      ('token_embedding.', 'positional_embedding'))

    def init_from_clip(self, clip: Mapping[str, Tensor]) -> set[str]:
        """Take the text encoder's weights; every parameter is set."""
        return copy_from_clip(self, clip)

    def forward(self, tokens: Tensor) -> TextTokens:
        """Embed captions.

        Args:
            tokens (Tensor): (N, L) token ids: start, words, end, anything. L may be any length
                up to the architecture's context.

        Returns:
            TextTokens: (N, D) sentences, (N, L, D) words, (N, L) mask of words.

        Raises:
            ValueError: If there are more tokens than positions, or a caption has no end token.
        """
        num_tokens = tokens.shape[1]
        if num_tokens > self.context_length:
            raise ValueError(f'{num_tokens} text tokens, but this CLIP has {self.context_length} '
                             'positions: tokenize to fewer')
        is_end = tokens == self.end_token
        if not bool(is_end.any(dim=1).all()):
            raise ValueError(f'a caption has no end token (id {self.end_token}); '
                             'was it made by another tokenizer, or truncated by hand?')
        hidden = self.token_embedding(tokens) + self.positional_embedding[:num_tokens]
        hidden = self.transformer(hidden, attn_mask=self.attn_mask[:num_tokens, :num_tokens])
        words = self.ln_final(hidden) @ self.text_projection
        end = is_end.int().argmax(dim=1)  # the first one
        position = torch.arange(num_tokens, device=tokens.device)
        word_mask = (position > 0) & (position <= end[:, None])
        return TextTokens(words[torch.arange(len(end), device=end.device), end], words, word_mask)
