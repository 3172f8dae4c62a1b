"""The Adam of BERT's first PyTorch port, by which CLIP4Clip trains."""
from collections.abc import Callable, Iterable
from typing import Any, Optional

import torch
from torch import Tensor

from mmc2v.registry import OPTIMIZERS


@OPTIMIZERS.register_module()
class BertAdam(torch.optim.Optimizer):
    """Adam without bias correction, with each parameter's gradient clipped by itself.

    For a parameter p with gradient g, whose norm is at most ``max_grad_norm`` or is brought to it::

        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g * g
        p = p - lr * (m / (sqrt(v) + eps) + weight_decay * p)

    It is :class:`torch.optim.AdamW` but for two things: m and v are not divided by ``1 - b ** t``,
    so the first updates have other sizes (by equal gradients and betas 0.9 and 0.98 the first is
    0.71 of AdamW's, the 14th 1.55, the 200th 1.01); and gradients are clipped. Source:
    modules/optimization.py of https://github.com/ArrowLuo/CLIP4Clip.

    Args:
        params (Iterable): Parameters, or groups of them.
        lr (float): Learning rate.
        betas (tuple[float, float]): b1 and b2, in [0, 1). Defaults to CLIP4Clip's (0.9, 0.98).
        eps (float): Added to sqrt(v). Defaults to 1e-6.
        weight_decay (float): Share of p, times the rate, that each step takes off. Defaults to 0.
        max_grad_norm (float): Greatest norm of a parameter's gradient; 0 clips nothing. Where the
            norm of all gradients together was clipped to the same number before, this clips nothing
            more. Defaults to 1.

    Raises:
        ValueError: If a number lies outside its range.
    """

    def __init__(self, params: Iterable, lr: float, betas: tuple[float, float] = (0.9, 0.98),
                 eps: float = 1e-6, weight_decay: float = 0.0, max_grad_norm: float = 1.0) -> None:
        numbers = dict(lr=lr, eps=eps, weight_decay=weight_decay, max_grad_norm=max_grad_norm)
        for name, value in numbers.items():
            if not value >= 0:
                raise ValueError(f'{name} must be at least 0, got {value}')
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f'betas must lie in [0, 1), got {betas}')
        super().__init__(params, dict(numbers, betas=tuple(betas)))

    @torch.no_grad()
    def step(self, closure: Optional[Callable[[], Any]] = None) -> Any:
        """Take one step; gradients are clipped in place.

        Args:
            closure (Callable, optional): Computes the loss and its gradients anew.

        Returns:
            Any: What the closure returned.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [parameter for parameter in group['params'] if parameter.grad is not None]
            if parameters:
                self._update(parameters, group)
        return loss

    def _update(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        """Update the parameters of one group that have a gradient."""
        for parameter in parameters:
            if not self.state[parameter]:
                self.state[parameter].update(exp_avg=torch.zeros_like(parameter),
                                             exp_avg_sq=torch.zeros_like(parameter))
        gradients = [parameter.grad for parameter in parameters]
        means, squares = ([self.state[parameter][key] for parameter in parameters]
                          for key in ('exp_avg', 'exp_avg_sq'))
        if group['max_grad_norm'] > 0:
            _clip_each(gradients, group['max_grad_norm'])
        beta1, beta2 = group['betas']
        torch._foreach_mul_(means, beta1)
        torch._foreach_add_(means, gradients, alpha=1 - beta1)
        torch._foreach_mul_(squares, beta2)
        torch._foreach_addcmul_(squares, gradients, gradients, value=1 - beta2)
        roots = torch._foreach_sqrt(squares)
        torch._foreach_add_(roots, group['eps'])
        updates = torch._foreach_div(means, roots)
        if group['weight_decay'] > 0:
            torch._foreach_add_(updates, parameters, alpha=group['weight_decay'])
        torch._foreach_add_(parameters, updates, alpha=-group['lr'])


def _clip_each(gradients: list[Tensor], max_norm: float) -> None:
    """Bring each gradient whose norm is greater to a norm, as torch's clip_grad_norm_ does one."""
    factors = [(max_norm / (norm + 1e-6)).clamp(max=1.0)
               for norm in torch._foreach_norm(gradients)]
    torch._foreach_mul_(gradients, factors)
