"""What the parts of a retrieval model must give each other; each check names the part at fault.

B videos, N captions, T frames, T' time steps of a backbone, S local tokens, L text tokens, D
embedding width.
"""
from typing import Any

import torch
from torch import Tensor, nn

from mmc2v.structures import TextTokens, VideoTokens


def require_frames(backbone: nn.Module, output: Any, frame_mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return what a backbone made of videos, (B, T', D), and its (B, T') mask.

    Args:
        backbone (nn.Module): Named in the error; whether it ``takes_mask`` decides what it gives.
        output (Any): What it returned.
        frame_mask (Tensor): (B, T) bool, that of the frames which it read.

    Raises:
        ValueError: If it returned something else.
    """
    takes_mask = getattr(backbone, 'takes_mask', False)
    pair = output if takes_mask else (output, frame_mask)
    if isinstance(pair, tuple) and len(pair) == 2 and _are_tokens(*pair, len(frame_mask)):
        return pair
    wanted = ("a tuple of (B, T', D) tokens and their (B, T') bool mask, because it has "
              'takes_mask=True') if takes_mask else (
        'a (B, T, D) tensor, one embedding for each image of (B, T, 3, H, W); a backbone that '
        'reads whole clips has takes_mask=True and returns a mask, too')
    raise ValueError(f'the backbone {type(backbone).__name__} must return {wanted}; for '
                     f'{_shape(frame_mask)} frames it returned {_describe(output)}')


def require_video_tokens(neck: nn.Module, output: Any, num_videos: int) -> VideoTokens:
    """Return the tokens that a neck made of B videos.

    Raises:
        ValueError: If they are no :class:`~mmc2v.structures.VideoTokens`, or do not fit together.
    """
    fits = (isinstance(output, VideoTokens)
            and _are_tokens(output.frames, output.frame_mask, num_videos)
            and _are_tokens(output.local, output.local_mask, num_videos)
            and output.frames.shape[2] == output.local.shape[2])
    if not fits:
        raise ValueError(
            f'the neck {type(neck).__name__} must return mmc2v.structures.VideoTokens(frames, '
            'frame_mask, local, local_mask): (B, T, D) tokens with their (B, T) bool mask, and '
            f'(B, S, D) tokens for an alignment block with their (B, S) bool mask; for '
            f'{num_videos} videos it returned {_describe(output)}. A neck without local tokens '
            'returns VideoTokens(mixed, mask, frames, mask)')
    return output


def require_text_tokens(text_backbone: nn.Module, output: Any, num_captions: int) -> TextTokens:
    """Return the tokens that a text backbone made of N captions.

    Raises:
        ValueError: If they are no :class:`~mmc2v.structures.TextTokens`, or do not fit together.
    """
    fits = (isinstance(output, TextTokens)
            and _are_tokens(output.words, output.word_mask, num_captions)
            and isinstance(output.sentence, Tensor)
            and output.sentence.shape == (num_captions, output.words.shape[2]))
    if not fits:
        raise ValueError(
            f'the text backbone {type(text_backbone).__name__} must return '
            'mmc2v.structures.TextTokens(sentence, words, word_mask): (N, D) sentences, (N, L, D) '
            f'words and their (N, L) bool mask; for {num_captions} captions it returned '
            f'{_describe(output)}')
    return output


def _are_tokens(tokens: Any, mask: Any, num: int) -> bool:
    """Whether these are (num, any, D) tokens and their mask."""
    return (isinstance(tokens, Tensor) and isinstance(mask, Tensor) and tokens.ndim == 3
            and len(tokens) == num and mask.shape == tokens.shape[:2]
            and mask.dtype == torch.bool)


def _shape(tensor: Tensor) -> str:
    return str(tuple(tensor.shape))


def _describe(value: Any) -> str:
    """Spell out types and shapes."""
    if isinstance(value, Tensor):
        return f'{_shape(value)} {str(value.dtype).removeprefix("torch.")}'
    if isinstance(value, tuple):
        return f'{type(value).__name__}({", ".join(map(_describe, value))})'
    return type(value).__name__
