"""A loss that is no number stops training before it reaches the weights.

B items on this rank, K kinds of embedding, D embedding width.
"""
from collections.abc import Sequence
from typing import Optional

import torch
from mmengine.dist import all_gather_object, all_reduce
from torch import Tensor


def require_finite(losses: dict[str, Tensor], text: Tensor, video: Tensor,
                   data_samples: Optional[Sequence] = None) -> None:
    """Stop all ranks together where the loss of one is NaN or infinite.

    Args:
        losses (dict[str, Tensor]): As a head returns them.
        text (Tensor): (B, K, D) embeddings of this rank's captions.
        video (Tensor): (B, K, D) embeddings of its videos.
        data_samples (Sequence, optional): B data samples, with ``filename`` and ``captions``.

    Raises:
        FloatingPointError: On all ranks, with the files and captions whose embeddings are not
            finite, or those of the whole batch where all embeddings are.
    """
    total = sum(value.detach() for name, value in losses.items() if 'loss' in name)
    is_bad = (~torch.isfinite(total)).to(torch.int64)
    all_reduce(is_bad)
    if not is_bad.item():
        return
    known = [getattr(sample, 'metainfo', {}) for sample in data_samples or [None] * len(video)]
    files, captions = ([str(info.get(key, f'row {row}')) for row, info in enumerate(known)]
                       for key in ('filename', 'captions'))
    offending = []
    for kind, names, embeddings in (('video', files, video), ('caption', captions, text)):
        finite = torch.isfinite(embeddings.detach()).flatten(1).all(dim=1).tolist()
        offending += [f'{kind} {name}' for name, is_fine in zip(names, finite) if not is_fine]
    gathered = all_gather_object((offending, files))
    offending = [name for of_rank, _ in gathered for name in of_rank]
    values = {name: f'{float(value.detach()):g}' for name, value in losses.items()}
    raise FloatingPointError(
        f'the loss is not finite: {values}. ' + (
            'Embeddings that are not finite: ' + '; '.join(offending) if offending else
            'All embeddings of the batch are finite: '
            + '; '.join(name for _, whole in gathered for name in whole))
        + '. The weights are as before this step; resume from the last checkpoint, with a lower '
        'learning rate, or without these files where they are to blame')
