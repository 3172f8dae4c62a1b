"""Encoding many captions at the cost of their lengths."""
from collections.abc import Callable

import torch
from torch import Tensor

from mmc2v.progress import progress


def caption_lengths(tokens: Tensor, pad_token: int = 0) -> Tensor:
    """Return (N,) the number of columns up to the last token that is no padding.

    Args:
        tokens (Tensor): (N, L) ids. A token within a caption may have the padding's id.
        pad_token (int): Id after the end of captions. Defaults to 0.
    """
    positions = torch.arange(1, tokens.shape[1] + 1, device=tokens.device)
    return (positions * (tokens != pad_token)).amax(dim=1)


def embed_by_length(embed: Callable[[Tensor], Tensor], tokens: Tensor, pad_token: int = 0,
                    chunk_size: int = 256, title: str = '') -> Tensor:
    """Embed captions sorted by length, in chunks cut to their longest, and restore the order.

    Args:
        embed (Callable): (n, l) ids -> (n, ...) embeddings, each of its own caption alone.
        tokens (Tensor): (N, L) ids.
        pad_token (int): Id after the end of captions. Defaults to 0.
        chunk_size (int): Captions at a time. Defaults to 256.
        title (str): Of a progress bar. Defaults to none.

    Returns:
        Tensor: (N, ...) in the order of ``tokens``.
    """
    lengths, order = caption_lengths(tokens, pad_token).sort(stable=True)
    # the last of a chunk is its longest; one transfer from the device for all chunks
    longest = lengths[chunk_size - 1::chunk_size].tolist() + lengths[-1:].tolist()
    chunks = list(zip(order.split(chunk_size), longest))
    if title:
        chunks = progress(chunks, title, f' x {chunk_size} captions')
    parts = [embed(tokens[chunk][:, :max(1, length)]) for chunk, length in chunks]
    return torch.cat(parts)[order.argsort()]
