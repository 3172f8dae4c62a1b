"""The two halves of a two-tower model of open_clip as two towers.

B videos, N captions, T frames, L text tokens, D embedding width.
"""
from collections.abc import Mapping, Sequence
from typing import Optional, Union

import open_clip
import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from mmc2v.registry import MODELS
from mmc2v.structures import TextTokens

from ..clip.architecture import TextConvention, clip_config, is_plain_clip, text_convention
from ..clip.weights import copy_from_clip
from ..contracts import require_end_tokens
from ..text_chunks import caption_lengths
from .valid_frames import encode_valid

# What stands in for the half of a CLIP model that a tower does not need.
_SMALLEST_VISION = dict(layers=1, width=64, patch_size=32, image_size=32)
_SMALLEST_TEXT = dict(layers=1, width=64, heads=1, vocab_size=2)


def _freeze_layers(tower: nn.Module, blocks: nn.ModuleList, num: int,
                   before: tuple[str, ...]) -> None:
    """Freeze a tower's first blocks and, by their prefixes, the parameters that come before."""
    if not -1 <= num <= len(blocks):
        raise ValueError(f'freeze_layer_num={num}, but the tower has {len(blocks)} blocks; -1 '
                         'freezes nothing')
    if num >= 0:
        for name, parameter in tower.named_parameters():
            if name.startswith(before):
                parameter.requires_grad_(False)
        blocks[:num].requires_grad_(False)


@MODELS.register_module()
class CLIPVisionTower(BaseModule):
    """CLIP's image encoder, or that of another two-tower model of open_clip.

    It encodes each frame without the others (``sees_frames_alone``). Where it has batch norm
    (ResNet, FastViT) it encodes the valid ones only, so that padding has no influence on the
    statistics.

    Args:
        arch (str | dict): See :func:`~mmc2v.models.clip.architecture.clip_config`.
        position_std (float, optional): Standard deviation of random position embeddings. Defaults
            to open_clip's width ** -0.5, which is little beside the patches when a small tower
            learns from scratch where things are. CLIP weights replace them.
        grad_checkpointing (bool): Recompute blocks in backward to save memory. Defaults to False.
        freeze_layer_num (int): As in CLIP4Clip: freeze what comes before the blocks (patches,
            class and position embeddings, their norm) and this many blocks. Defaults to -1: train
            everything.

    Raises:
        ValueError: If there are fewer blocks than are to be frozen, or the encoder is not
            open_clip's own vision transformer, and blocks are to be frozen or positions drawn.
    """

    sees_frames_alone = True

    def __init__(self, arch: Union[str, dict], position_std: Optional[float] = None,
                 grad_checkpointing: bool = False, freeze_layer_num: int = -1,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg)
        config = clip_config(arch)
        self.arch = arch
        self.embed_dim = config['embed_dim']
        self.visual = open_clip.CLIP(**{**config, 'text_cfg': _SMALLEST_TEXT}).visual
        self.visual.set_grad_checkpointing(grad_checkpointing)
        size = self.visual.image_size
        self.image_size = tuple(size) if isinstance(size, (tuple, list)) else (size, size)
        self._leaves_padding_out = any(isinstance(module, nn.modules.batchnorm._BatchNorm)
                                       for module in self.visual.modules())
        if is_plain_clip(config):
            if position_std is not None:
                nn.init.normal_(self.visual.positional_embedding, std=position_std)
            _freeze_layers(self.visual, self.visual.transformer.resblocks, freeze_layer_num,
                           ('conv1.', 'class_embedding', 'positional_embedding', 'ln_pre.'))
        elif freeze_layer_num >= 0 or position_std is not None:
            raise ValueError(f"freeze_layer_num and position_std are for open_clip's own vision "
                             f'transformer; {arch} has {type(self.visual).__name__}')

    def init_from_clip(self, clip: Mapping[str, Tensor]) -> set[str]:
        """Take the image encoder's weights; every parameter is set."""
        return {f'visual.{name}' for name in copy_from_clip(self.visual, clip, 'visual.')}

    def forward(self, frames: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Embed frames, each by itself.

        Args:
            frames (Tensor): (B, T, 3, H, W), normalised.
            mask (Tensor): (B, T) bool, True = valid.

        Returns:
            tuple[Tensor, Tensor]: (B, T, D) tokens, not normalised and without meaning at padding;
            the mask.

        Raises:
            ValueError: If frames have another size than the architecture's.
        """
        if tuple(frames.shape[-3:]) != (3, *self.image_size):
            raise ValueError(f'images are {tuple(frames.shape[-3:])}, but this CLIP reads '
                             f'{(3, *self.image_size)}: set the size of the resize and crop')
        if self._leaves_padding_out:
            return encode_valid(self.visual, frames, mask), mask
        return self.visual(frames.flatten(0, 1)).unflatten(0, mask.shape), mask


@MODELS.register_module()
class CLIPTextTower(BaseModule):
    """CLIP's text encoder, or that of another two-tower model, with all tokens projected.

    The sentence is what the model itself pools: the end token's output (CLIP, PE-Core, MetaCLIP,
    EVA02, ...) or the last position's (SigLIP, CLIPA). Where tokens see later ones (no causal
    mask), padding is part of what the model was trained on, so captions are filled up to its
    whole context.

    Args:
        arch (str | dict): See :func:`~mmc2v.models.clip.architecture.clip_config`.
        convention (Sequence, optional): Whether captions have a start token, id of the end token
            or None, id of padding. Defaults to what is known of the architecture's tokenizer, see
            :func:`~mmc2v.models.clip.architecture.text_convention`.
        position_std (float, optional): Standard deviation of random position embeddings. Defaults
            to open_clip's 0.01, half of the words', which is little for a small tower that learns
            the order of words from scratch. CLIP weights replace them.
        grad_checkpointing (bool): Recompute blocks in backward to save memory. Defaults to False.
        freeze_layer_num (int): As in CLIP4Clip: freeze token and position embeddings and this many
            blocks. Defaults to -1: train everything.

    Raises:
        ValueError: If there are fewer blocks than are to be frozen.
    """

    def __init__(self, arch: Union[str, dict], convention: Optional[Sequence] = None,
                 position_std: Optional[float] = None, grad_checkpointing: bool = False,
                 freeze_layer_num: int = -1, init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg)
        config = clip_config(arch)
        self.arch = arch
        clip = open_clip.CustomTextCLIP(**{**config, 'vision_cfg': _SMALLEST_VISION}).text
        self.embed_dim = config['embed_dim']
        self.context_length = clip.context_length
        self.pool_type = config['text_cfg'].get('pool_type', 'argmax')
        self.convention = TextConvention(*convention) if convention else text_convention(config)
        if self.convention.end_token is None and self.pool_type in ('argmax', 'eos'):
            raise ValueError(f'{arch} pools the end token, but there is none in its convention '
                             f'{tuple(self.convention)}')
        self.token_embedding = clip.token_embedding
        self.positional_embedding = clip.positional_embedding
        if position_std is not None:
            nn.init.normal_(self.positional_embedding, std=position_std)
        self.transformer = clip.transformer
        self.transformer.grad_checkpointing = grad_checkpointing
        self.ln_final = clip.ln_final
        self.text_projection = clip.text_projection
        # None where tokens see later ones
        self.register_buffer('attn_mask', clip.attn_mask, persistent=False)
        _freeze_layers(self, self.transformer.resblocks, freeze_layer_num,
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
            ValueError: If there are more tokens than positions, or a caption on the host has no end
                token.
        """
        num_tokens = tokens.shape[1]
        if num_tokens > self.context_length:
            raise ValueError(f'{num_tokens} text tokens, but this CLIP has {self.context_length} '
                             'positions: tokenize to fewer')
        require_end_tokens(tokens, self.convention.end_token)
        word_mask, end = self._words(tokens)
        attn_mask = self.attn_mask
        if attn_mask is None:
            tokens = F.pad(tokens, (0, self.context_length - num_tokens),
                           value=self.convention.pad_token)
        else:
            attn_mask = attn_mask[:num_tokens, :num_tokens]
        hidden = self.token_embedding(tokens) + self.positional_embedding[:tokens.shape[1]]
        words = self._project(self.ln_final(self.transformer(hidden, attn_mask=attn_mask)))
        if self.pool_type in ('argmax', 'eos'):
            sentence = words[torch.arange(end.shape[0], device=end.device), end]
        else:
            sentence = words[:, 0 if self.pool_type == 'first' else -1]
        return TextTokens(sentence, words[:, :num_tokens], word_mask)

    def _words(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return the (N, L) mask of words and the (N,) positions of end tokens."""
        has_start, end_token, pad_token = self.convention
        position = torch.arange(tokens.shape[1], device=tokens.device)
        if end_token is None:  # then padding has an id of its own
            end = (caption_lengths(tokens, pad_token) - 1).clamp(min=0)
        else:
            end = (tokens == end_token).int().argmax(dim=1)  # the first one
        return (position >= int(has_start)) & (position <= end[:, None]), end

    def _project(self, hidden: Tensor) -> Tensor:
        if isinstance(self.text_projection, nn.Module):
            return self.text_projection(hidden)
        return hidden if self.text_projection is None else hidden @ self.text_projection
