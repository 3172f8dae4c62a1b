"""Optimizer wrapper and parameter groups."""
from contextlib import contextmanager
from typing import Optional, Union

import torch
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.optim import AmpOptimWrapper, DefaultOptimWrapperConstructor, OptimWrapper
from torch import nn

from mmc2v.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class AutocastOptimWrapper(OptimWrapper):
    """Runs the forward pass of training in bfloat16 autocast, on CPU as on CUDA.

    bfloat16 has float32's range, so losses need no scaling. MMEngine's AmpOptimWrapper refuses
    the CPU.
    """

    @contextmanager
    def optim_context(self, model: nn.Module):
        """Enter autocast on the device that MMEngine trains on."""
        device = get_device()
        with super().optim_context(model), torch.autocast(device, dtype=torch.bfloat16):
            yield


@OPTIM_WRAPPERS.register_module()
class Float16OptimWrapper(AmpOptimWrapper):
    """Trains in float16 with dynamic loss scaling, for GPUs without bfloat16.

    A gradient that overflows float16 skips the step and lowers the scale. That is normal, so
    ``clip_grad.error_if_nonfinite``, by which other wrappers stop, has no effect here; steps that
    are skipped without end are the error.

    Args:
        loss_scale (str | dict): 'dynamic', or arguments of ``torch.cuda.amp.GradScaler``. Defaults
            to 'dynamic'.
        max_skips (int): How many steps in a row may be skipped; the scale is halved each time.
            Defaults to 24, which lowers it from 65,536 to 0.004.
        clip_grad (dict, optional): As :class:`mmengine.optim.OptimWrapper` has it.
        **kwargs: Likewise.

    Raises:
        ValueError: If the scale is a fixed number, which no overflow would lower.
        FloatingPointError: When more steps in a row are skipped.
    """

    def __init__(self, loss_scale: Union[str, dict] = 'dynamic', max_skips: int = 24,
                 clip_grad: Optional[dict] = None, **kwargs) -> None:
        if isinstance(loss_scale, (int, float)):
            raise ValueError(f"loss_scale={loss_scale} is fixed; use 'dynamic', or "
                             f'dict(init_scale={loss_scale}) to begin with it')
        clip_grad = {key: value for key, value in (clip_grad or {}).items()
                     if key != 'error_if_nonfinite'}
        super().__init__(loss_scale=loss_scale, dtype=torch.float16, clip_grad=clip_grad or None,
                         **kwargs)
        self.max_skips = max_skips
        self._skips = 0

    def step(self, **kwargs) -> None:
        """Step, or skip and lower the scale."""
        scale = self.loss_scaler.get_scale()
        super().step(**kwargs)
        lowered = self.loss_scaler.get_scale()
        self.message_hub.update_scalar('train/loss_scale', lowered)
        self._skips = self._skips + 1 if lowered < scale else 0
        if self._skips > self.max_skips:
            raise FloatingPointError(
                f'gradients were not finite in {self._skips} steps in a row, down to a loss scale '
                f'of {lowered:g}: this is no overflow of float16 alone. The weights are as before '
                'these steps; resume from the last checkpoint with a lower learning rate, or in '
                'float32 (optim_wrapper.type=OptimWrapper), which names what is not finite')


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class RetrievalOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Groups parameters by learning rate and weight decay.

    No decay for parameters of one dimension or none (norms, biases, scales). Parameters with equal
    settings share one group, which fused optimizers want.

    ``paramwise_cfg=dict(lr_mult=dict(prefix=factor, ...))``: parameters whose name begins with the
    prefix train at that share of the learning rate; the longest prefix counts. MMEngine's
    ``custom_keys`` would switch off its rules for norms and biases, and would not see
    ``in_proj_bias`` as a bias.

    Raises:
        ValueError: If a prefix fits no parameter, or there are other keys.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: Optional[dict] = None) -> None:
        super().__init__(optim_wrapper_cfg, paramwise_cfg or dict(lr_mult={}))
        unknown = set(self.paramwise_cfg) - {'lr_mult'}
        if unknown:
            raise ValueError(f'paramwise_cfg knows lr_mult alone, got {sorted(unknown)}')

    def decays(self, name: str, parameter: nn.Parameter) -> bool:
        """Whether a parameter has weight decay."""
        return parameter.ndim > 1

    def add_params(self, params: list[dict], module: nn.Module, **kwargs) -> None:
        """Fill ``params`` with one group for each learning rate and weight decay."""
        lr_mult: dict[str, float] = dict(self.paramwise_cfg['lr_mult'])
        names = [name for name, _ in module.named_parameters()]
        unused = [prefix for prefix in lr_mult if not any(n.startswith(prefix) for n in names)]
        if unused:
            raise ValueError(f'lr_mult names {unused}, but no parameter begins so')
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for name, parameter in module.named_parameters():
            if not parameter.requires_grad:
                continue
            fitting = [prefix for prefix in lr_mult if name.startswith(prefix)]
            factor = lr_mult[max(fitting, key=len)] if fitting else 1.0
            decay = self.base_wd or 0.0 if self.decays(name, parameter) else 0.0
            groups.setdefault((self.base_lr * factor, decay), []).append(parameter)
        for (lr, decay), members in groups.items():
            params.append(dict(params=members, lr=lr, weight_decay=decay))
            print_log(f'{len(members)} parameters: lr={lr:g}, weight_decay={decay:g}',
                      logger='current')


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class CLIP4ClipOptimWrapperConstructor(RetrievalOptimWrapperConstructor):
    """Groups parameters as CLIP4Clip does: its weight decay goes by names.

    A name that has ``bias``, ``LayerNorm.bias`` or ``LayerNorm.weight`` in it means no decay. Those
    are BERT's names. CLIP calls its norms ``ln_1``, ``ln_2``, ``ln_final`` and ``ln_post``, so
    their weights decay, and so does ``logit_scale``: of our models biases alone do not. Source:
    ``prep_optimizer`` of main_task_retrieval.py, https://github.com/ArrowLuo/CLIP4Clip.
    """

    without_decay = ('bias', 'LayerNorm.bias', 'LayerNorm.weight')

    def decays(self, name: str, parameter: nn.Parameter) -> bool:
        """Whether a parameter has weight decay."""
        return not any(part in name for part in self.without_decay)
