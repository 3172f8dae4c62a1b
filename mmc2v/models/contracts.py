"""What the parts of a retrieval model must give each other; each check names the part at fault.

B videos, N captions, T frames, T' time steps of a tower, S local tokens, L text tokens, D
embedding width.
"""
import inspect
from typing import Any, Optional

import torch
from torch import Tensor, nn

from mmc2v.structures import TextTokens, VideoTokens


def require_tower(backbone: nn.Module) -> nn.Module:
    """Return a video tower.

    Raises:
        ValueError: If it cannot be called with frames and their mask.
    """
    try:
        inspect.signature(backbone.forward).bind('frames', 'mask')
    except TypeError as error:
        raise ValueError(
            f'the backbone {type(backbone).__name__} must take (frames, mask) and return '
            "(tokens, mask): (B, T, 3, H, W) frames and their (B, T) bool mask, (B, T', D) tokens "
            f"and their (B, T') bool mask; its forward does not: {error}") from error
    return backbone


def require_pairs(num_videos: int, num_captions: int) -> None:
    """Refuse a training batch that has not one caption a video.

    Raises:
        ValueError: With both numbers.
    """
    if num_videos != num_captions:
        raise ValueError(f'training reads pairs, got {num_videos} videos and {num_captions} '
                         'captions; use one caption an item (test_mode=False)')


def has_values_here(tensor: Tensor) -> bool:
    """Whether values can be looked at: on the host, and not while a graph is being made.

    To look at what is on a GPU makes the host wait for all that was begun there, and a graph that
    depends on values cannot be exported. What comes from a loader is checked by the data
    preprocessor, before it is moved.
    """
    return tensor.device.type == 'cpu' and not torch.compiler.is_compiling()


def require_valid_frames(frame_mask: Tensor) -> None:
    """Refuse videos of padding alone, where values can be looked at.

    Raises:
        ValueError: With their places in the batch.
    """
    if not has_values_here(frame_mask):
        return
    empty = (~frame_mask.any(dim=1)).nonzero().flatten().tolist()
    if empty:
        raise ValueError(f'videos {empty} of the batch have no valid frame')


def require_end_tokens(tokens: Tensor, end_token: Optional[int]) -> None:
    """Refuse captions without an end token, where values can be looked at.

    Args:
        tokens (Tensor): (N, L) ids.
        end_token (int, optional): Its id; None where there is none.

    Raises:
        ValueError: If one has none.
    """
    if end_token is None or not has_values_here(tokens):
        return
    if not bool((tokens == end_token).any(dim=1).all()):
        raise ValueError(f'a caption has no end token (id {end_token}); '
                         'was it made by another tokenizer, or truncated by hand?')


def require_frame_tokens(backbone: nn.Module, output: Any,
                         num_videos: int) -> tuple[Tensor, Tensor]:
    """Return what a tower made of B videos: (B, T', D) tokens and their (B, T') mask.

    Raises:
        ValueError: If it returned something else.
    """
    if isinstance(output, tuple) and len(output) == 2 and _are_tokens(*output, num_videos):
        return output
    raise ValueError(f"the backbone {type(backbone).__name__} must return a tuple of (B, T', D) "
                     f"tokens and their (B, T') bool mask; for {num_videos} videos it returned "
                     f'{_describe(output)}')


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
            and tokens.shape[0] == num and mask.shape == tokens.shape[:2]
            and mask.dtype == torch.bool)


def _describe(value: Any) -> str:
    """Spell out types and shapes."""
    if isinstance(value, Tensor):
        return f'{tuple(value.shape)} {str(value.dtype).removeprefix("torch.")}'
    if isinstance(value, tuple):
        return f'{type(value).__name__}({", ".join(map(_describe, value))})'
    return type(value).__name__
