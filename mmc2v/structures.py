"""What passes between the parts of a retrieval model.

B videos, N captions, T frames, L text tokens, S local tokens, D embedding width.
"""
from typing import NamedTuple

from torch import Tensor


class VideoTokens(NamedTuple):
    """Output of a neck.

    Attributes:
        frames (Tensor): (B, T, D), frame tokens after temporal mixing, not normalised.
        frame_mask (Tensor): (B, T) bool, True = valid.
        local (Tensor): (B, S, D), raw frames and what the local branch appends, not normalised.
        local_mask (Tensor): (B, S) bool, True = valid.
    """

    frames: Tensor
    frame_mask: Tensor
    local: Tensor
    local_mask: Tensor


class TextTokens(NamedTuple):
    """Output of a text backbone.

    Attributes:
        sentence (Tensor): (N, D), projected end token, not normalised.
        words (Tensor): (N, L, D), all projected tokens, not normalised.
        word_mask (Tensor): (N, L) bool, True = valid: after the start token, up to and including
            the first end token.
    """

    sentence: Tensor
    words: Tensor
    word_mask: Tensor
