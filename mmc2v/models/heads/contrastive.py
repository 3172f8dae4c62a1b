"""Contrastive loss over the batches of all ranks.

N pairs in all, B of them on this rank, W ranks.
"""
import torch
from mmengine.dist import all_gather, all_reduce, get_rank, get_world_size
from torch import Tensor
from torch.nn import functional as F


class _AllGather(torch.autograd.Function):
    """Concatenate over ranks; the gradient is that of the sum of all ranks' losses.

    Every rank computes the whole loss and data parallelism averages parameter gradients over
    ranks, so the sum makes the result equal to one process with the whole batch, for what is
    gathered as for parameters that each rank applies to the gathered whole (logit_scale).
    """

    @staticmethod
    def forward(ctx, local: Tensor) -> Tensor:
        ctx.rows = local.shape[0]
        return torch.cat(all_gather(local.contiguous()))

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        gradient = gradient.contiguous().clone()
        all_reduce(gradient)
        start = get_rank() * ctx.rows
        return gradient[start:start + ctx.rows]


def gather_pairs(text: Tensor, video: Tensor) -> tuple[Tensor, Tensor]:
    """Concatenate the pairs of all ranks, with exact gradient.

    Args:
        text (Tensor): (B, ...), row i belongs to video row i.
        video (Tensor): (B, ...), of the same shape.

    Returns:
        tuple[Tensor, Tensor]: (N, ...) text and (N, ...) video, in the order of ranks; the
        inputs themselves where there is one process.

    Raises:
        ValueError: If the ranks hold different numbers of pairs.
    """
    if get_world_size() == 1:
        return text, video
    sizes = torch.cat(all_gather(torch.tensor([len(text)], device=text.device))).tolist()
    if len(set(sizes)) > 1:
        raise ValueError(f'ranks hold batches of different sizes {sizes}; set drop_last=True in '
                         'the training dataloader')
    both = _AllGather.apply(torch.stack([text, video], dim=1))
    return both[:, 0], both[:, 1]


def symmetric_cross_entropy(logits: Tensor) -> Tensor:
    """Mean of text-to-video and video-to-text cross entropy.

    Args:
        logits (Tensor): (N, N), text i against video j; pairs are on the diagonal.

    Returns:
        Tensor: Scalar, at least 0.
    """
    target = torch.arange(logits.shape[0], device=logits.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
