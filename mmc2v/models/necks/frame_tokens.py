"""What a transformer over time reads: frames with positions, with or without differences.

Sections 3.2 and 3.3 of arXiv 2106.11097. B videos, T frames, D embedding width.

These are functions of embeddings that the neck owns, and no modules: a neck and its local branch
share them, and checkpoints know the embeddings as the neck's.
"""
import torch
from torch import Tensor, nn


class FrameTokens:
    """Frames with their positions.

    Args:
        position_embedding (nn.Embedding): A row for each frame.
    """

    stride = 1  # tokens from one frame to the next

    def __init__(self, position_embedding: nn.Embedding) -> None:
        self.position_embedding = position_embedding

    def positions(self, num_frames: int) -> Tensor:
        """Return the (T, D) positions of frames 0 .. T-1.

        Raises:
            ValueError: If there are more frames than positions.
        """
        known = self.position_embedding.num_embeddings
        if num_frames > known:
            raise ValueError(f'{num_frames} frames, but the neck has {known} positions; sample '
                             'fewer frames or raise max_frames')
        return self.position_embedding.weight[:num_frames]

    def __call__(self, frames: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Make tokens.

        Args:
            frames (Tensor): (B, T, D) frame embeddings.
            mask (Tensor): (B, T) bool, True = valid.

        Returns:
            tuple[Tensor, Tensor]: (B, S, D) tokens, of which every ``stride``-th is a frame;
            (B, S) their mask.
        """
        return frames + self.positions(frames.shape[1]), mask


class DifferenceTokens(FrameTokens):
    """Frames and a difference token between any two neighbours, with positions and types.

    A difference token is valid where both its frames are, so that padding has no influence; the
    published code lets the one at the end of a short clip see padding.

    Args:
        position_embedding (nn.Embedding): A row for each frame.
        type_embedding (nn.Embedding): Row 0: difference, row 1: frame.
        difference_encoder (nn.Module): Makes tokens of frame differences.
    """

    stride = 2

    def __init__(self, position_embedding: nn.Embedding, type_embedding: nn.Embedding,
                 difference_encoder: nn.Module) -> None:
        super().__init__(position_embedding)
        self.type_embedding = type_embedding
        self.difference_encoder = difference_encoder

    def __call__(self, frames: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Make (B, 2T-1, D) tokens: frame, difference, frame, ...; see :class:`FrameTokens`."""
        tokens, token_mask = self.interleave(frames, mask)
        positions, types = self.positions_and_types(frames.shape[1])
        return tokens + positions + types, token_mask

    def positions_and_types(self, num_frames: int) -> tuple[Tensor, Tensor]:
        """Return what is added to interleaved tokens: (2T-1, D) positions, (2T-1, D) types."""
        order = torch.arange(2 * num_frames - 1, device=self.type_embedding.weight.device)
        return self.positions(num_frames)[order // 2], self.type_embedding.weight[1 - order % 2]

    def interleave(self, frames: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Put a difference token between any two neighbouring frames, as they are.

        Returns:
            tuple[Tensor, Tensor]: (B, 2T-1, D) frame, difference, frame, ...; (B, 2T-1) their mask.
        """
        if frames.shape[1] == 1:
            return frames, mask
        both_valid = mask[:, 1:] & mask[:, :-1]
        differences = self.difference_encoder(
            frames[:, 1:] - frames[:, :-1], self.positions(frames.shape[1])[1:], both_valid)
        pairs = torch.stack([frames[:, :-1], differences.to(frames.dtype)], dim=2).flatten(1, 2)
        pair_mask = torch.stack([mask[:, :-1], both_valid], dim=2).flatten(1)
        return (torch.cat([pairs, frames[:, -1:]], dim=1),
                torch.cat([pair_mask, mask[:, -1:]], dim=1))
