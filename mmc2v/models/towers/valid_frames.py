"""Towers that see one image at a time leave padding out."""
from collections.abc import Callable

import torch
from torch import Tensor


def encode_valid(encode: Callable[[Tensor], Tensor], images: Tensor, mask: Tensor) -> Tensor:
    """Encode the valid images alone, (M, ...) -> (M, D); return (*, D), zero at the others.

    Where the mask has no values to choose by, in a graph that is being made and in a survey of
    architectures, all are encoded.

    Args:
        encode (Callable): The encoder.
        images (Tensor): (*, 3, H, W).
        mask (Tensor): (*,) bool, True = valid.
    """
    if images.is_meta or torch.compiler.is_compiling():
        embeddings = encode(images.flatten(0, mask.ndim - 1)).unflatten(0, mask.shape)
        return embeddings.masked_fill(~mask[..., None], 0.0)
    valid = encode(images[mask])
    embeddings = valid.new_zeros(*mask.shape, valid.shape[-1])
    embeddings[mask] = valid
    return embeddings
