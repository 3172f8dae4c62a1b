"""Pre-norm transformer over tokens of which some are padding.

B sequences, S tokens, D width, A attention heads.
"""
from collections.abc import Mapping
from functools import partial
from typing import Optional

import torch
from open_clip.transformer import LayerNorm, QuickGELU, Transformer
from torch import Tensor, nn

from ..clip.weights import copy_from_clip
from .frame_tokens import FrameTokens


class MaskedTransformer(Transformer):
    """CLIP's transformer with a key mask, QuickGELU and LayerNorm's eps of 1e-12.

    The blocks are open_clip's, so that parameters carry the names of CLIP's text blocks, from
    which they start.

    Args:
        embed_dim (int): Width D of tokens.
        num_layers (int): Number of blocks.
        num_heads (int, optional): Attention heads. Defaults to D / 64 as in CLIP, at least 1.
        init_from_text (bool): Start from CLIP's text blocks. Defaults to True.

    Raises:
        ValueError: If D is not a multiple of the number of heads.
    """

    def __init__(self, embed_dim: int, num_layers: int, num_heads: Optional[int] = None,
                 init_from_text: bool = True) -> None:
        num_heads = num_heads or max(1, embed_dim // 64)
        if embed_dim % num_heads:
            raise ValueError(f'embed_dim={embed_dim} is not a multiple of {num_heads} heads')
        super().__init__(
            width=embed_dim, layers=num_layers, heads=num_heads, act_layer=QuickGELU,
            norm_layer=partial(LayerNorm, eps=1e-12))
        self.num_heads = num_heads
        self.init_from_text = init_from_text
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weights as CLIP draws those of its text blocks."""
        attention_std = self.width ** -0.5
        projection_std = attention_std * (2 * self.layers) ** -0.5
        for block in self.resblocks:
            nn.init.normal_(block.attn.in_proj_weight, std=attention_std)
            nn.init.normal_(block.attn.out_proj.weight, std=projection_std)
            nn.init.normal_(block.mlp.c_fc.weight, std=(2 * self.width) ** -0.5)
            nn.init.normal_(block.mlp.c_proj.weight, std=projection_std)

    def init_from_clip(self, clip: Mapping[str, Tensor]) -> set[str]:
        """Copy CLIP's text blocks 0, 1, ... into the blocks; every parameter is set.

        Raises:
            ValueError: If CLIP has fewer text blocks or another width.
        """
        return copy_from_clip(
            self, clip, 'transformer.', "Temporal blocks start from CLIP's text blocks: use an "
            "embed_dim equal to CLIP's text width, an MLP of four times that, and no more temporal "
            'layers than text layers, or init_from_text=False in the neck for a random start')

    def refuse_other_heads(self, text_heads: int) -> None:
        """Refuse text blocks of other heads: their weights would fit, and mean something else.

        Args:
            text_heads (int): Of CLIP's text blocks.

        Raises:
            ValueError: If it would start from them.
        """
        if self.init_from_text and self.num_heads != text_heads:
            raise ValueError(
                f'temporal blocks have {self.num_heads} attention heads, the text blocks that they '
                f'start from have {text_heads}: set num_heads={text_heads} in the neck, or '
                'init_from_text=False for a random start')

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Mix tokens; padding is never attended.

        Args:
            tokens (Tensor): (B, S, D).
            mask (Tensor): (B, S) bool, True = valid.

        Returns:
            Tensor: (B, S, D). At padding the values are finite and without meaning.
        """
        # A sequence of padding alone may look at itself: a softmax over nothing is NaN, and NaN
        # would survive any later masking.
        keys = mask | ~mask.any(dim=1, keepdim=True)
        bias = torch.zeros_like(keys, dtype=tokens.dtype).masked_fill(~keys, float('-inf'))
        bias = bias.repeat_interleave(self.num_heads, dim=0)[:, None]  # (B * A, 1, S)
        return super().forward(tokens, attn_mask=bias.expand(-1, tokens.shape[1], -1))

    def mix(self, frames: Tensor, mask: Tensor, make_tokens: FrameTokens) -> Tensor:
        """Mix frames over time and add them to the result; padding has no influence.

        Args:
            frames (Tensor): (B, T, D) frame embeddings.
            mask (Tensor): (B, T) bool, True = valid.
            make_tokens (FrameTokens): Turns them into what is mixed.

        Returns:
            Tensor: (B, T, D).
        """
        tokens, token_mask = make_tokens(frames, mask)
        return self(tokens, token_mask)[:, ::make_tokens.stride] + frames
