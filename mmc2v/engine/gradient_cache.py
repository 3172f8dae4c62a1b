"""Contrastive batches larger than memory, by caching the gradient at the embeddings.

B items on this rank, N on all ranks, K kinds of embedding, D embedding width.
"""
from typing import Any, Optional

import torch
from mmengine.dist import all_reduce_params, get_world_size
from mmengine.model import MMDistributedDataParallel, is_model_wrapper
from mmengine.optim import OptimWrapper
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from torch import Tensor, nn

from mmc2v.models.contracts import require_pairs
from mmc2v.models.heads.finite_loss import require_finite
from mmc2v.registry import LOOPS

_BUCKET_MB = 64


def cached_step(model: nn.Module, optim_wrapper: OptimWrapper, data_batch: dict,
                chunk_size: int) -> dict[str, Tensor]:
    """Train on a batch whose activations are held for one chunk at a time.

    All chunks are embedded without gradient; the loss of the whole batch, over all ranks, gives the
    gradient at the embeddings; each chunk is embedded again and takes its part of it backward. The
    result is the gradient of the whole batch, at the cost of a second forward pass. Source: Gao et
    al., "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup",
    arXiv 2101.06983, where it is called gradient cache.

    Args:
        model (nn.Module): With ``data_preprocessor``, ``embed_video``, ``embed_text`` and
            ``head.loss``; plain or wrapped for data parallel training.
        optim_wrapper (OptimWrapper): Steps once.
        data_batch (dict): As the loader collated it: ``inputs``, a dict of sequences of B
            elements, and ``data_samples``.
        chunk_size (int): Items embedded at a time.

    Returns:
        dict[str, Tensor]: What is logged of the losses.

    Raises:
        ValueError: If there is not one caption a video, or a parameter gets no gradient on several
            ranks.
        FloatingPointError: If the loss is not finite.
    """
    module = model.module if is_model_wrapper(model) else model
    chunks = _split(module, data_batch, chunk_size)
    states, texts, videos = [], [], []
    for chunk in chunks:
        states.append(_random_state())
        with torch.no_grad(), optim_wrapper.optim_context(model):
            text, video = _embed(module, *chunk)
        texts.append(text)
        videos.append(video)
    text, video = (torch.cat(parts).requires_grad_() for parts in (texts, videos))
    losses = module.head.loss(text, video)
    require_finite(losses, text, video, data_batch.get('data_samples'))
    loss, log_vars = module.parse_losses(losses)
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    at_text, at_video, *at_parameters = torch.autograd.grad(
        loss, [text, video, *parameters], allow_unused=True)
    # Of parameters that the loss reads itself, logit_scale, this is the whole gradient.
    read_by_loss = [(parameter * gradient).sum() for parameter, gradient in
                    zip(parameters, at_parameters) if gradient is not None]
    if read_by_loss:
        optim_wrapper.backward(sum(read_by_loss))
    start = 0
    for chunk, state in zip(chunks, states):
        _restore_random_state(state)  # dropout and augmentation are those of the first pass
        with optim_wrapper.optim_context(model):
            text, video = _embed(module, *chunk)
        part = slice(start, start + len(text))
        optim_wrapper.backward((text * at_text[part]).sum() + (video * at_video[part]).sum())
        start += len(text)
    _average_gradients(module)
    optim_wrapper.step()
    optim_wrapper.zero_grad()
    return log_vars


def _split(module: nn.Module, data_batch: dict, chunk_size: int) -> list[tuple[dict, Tensor]]:
    """Return the collated videos and the token ids of each chunk.

    Videos are split before they go to the device, which so holds one chunk of frames. Captions are
    batched as a whole: a chunk of short ones would be trimmed to another length, and in half
    precision another length rounds otherwise.
    """
    inputs, samples = dict(data_batch['inputs']), data_batch.get('data_samples')
    captions = dict(inputs=dict(tokens=inputs.pop('tokens')), data_samples=samples)
    tokens = module.data_preprocessor(captions, training=True)['inputs']['tokens']
    size = len(inputs['frames'])
    require_pairs(size, len(tokens))
    parts = [slice(start, start + chunk_size) for start in range(0, size, chunk_size)]
    return [(dict(inputs={key: value[part] for key, value in inputs.items()},
                  data_samples=samples and samples[part]), tokens[part]) for part in parts]


def _embed(module: nn.Module, videos: dict, tokens: Tensor) -> tuple[Tensor, Tensor]:
    inputs = module.data_preprocessor(videos, training=True)['inputs']
    video = module.embed_video(inputs['frames'], inputs.get('frame_mask'))
    return module.embed_text(tokens), video


def _random_state() -> tuple[Tensor, Optional[Tensor]]:
    cuda = torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None
    return torch.get_rng_state(), cuda


def _restore_random_state(state: tuple[Tensor, Optional[Tensor]]) -> None:
    torch.set_rng_state(state[0])
    if state[1] is not None:
        torch.cuda.set_rng_state(state[1])


def _average_gradients(module: nn.Module) -> None:
    """Average over ranks, as the model wrapper does in a backward pass of its own."""
    if get_world_size() == 1:
        return
    gradients = {name: parameter.grad for name, parameter in module.named_parameters()
                 if parameter.requires_grad}
    without = [name for name, gradient in gradients.items() if gradient is None]
    if without:
        raise ValueError(f'parameters {without} get no gradient: remove them, or freeze them by '
                         'requires_grad=False')
    all_reduce_params(list(gradients.values()), bucket_size_mb=_BUCKET_MB, op='mean')


def _check(runner: Runner, chunk_size: int) -> None:
    """Refuse what would train otherwise than the user thinks.

    Raises:
        ValueError: If the chunk is empty, or model, wrapper or optimizer wrapper do not fit.
    """
    if chunk_size < 1:
        raise ValueError(f'chunk_size must be at least 1, got {chunk_size}')
    model, optim_wrapper = runner.model, runner.optim_wrapper
    if is_model_wrapper(model):
        if not isinstance(model, MMDistributedDataParallel):
            raise ValueError('gradient caching works with one process or '
                             f'MMDistributedDataParallel, not with {type(model).__name__}')
        model = model.module
    missing = [name for name in ('embed_video', 'embed_text', 'head') if not hasattr(model, name)]
    if missing:
        raise ValueError(f'gradient caching needs a model with {missing}, such as '
                         f'mmc2v.CLIP2Video; got {type(model).__name__}')
    if not isinstance(optim_wrapper, OptimWrapper):
        raise ValueError('gradient caching works with one OptimWrapper, got '
                         f'{type(optim_wrapper).__name__}')
    if optim_wrapper._accumulative_counts > 1:
        raise ValueError(f'accumulative_counts={optim_wrapper._accumulative_counts} would add up '
                         'batches that are not contrasted with one another; raise the batch size '
                         'instead, which chunk_size makes possible')
    if any(isinstance(part, nn.modules.batchnorm._BatchNorm) and part.training
           for part in model.modules()):
        runner.logger.warning('batch normalisation sees one chunk at a time, so the gradient is '
                              'not that of the whole batch; freeze it (norm_eval=True)')


class _CachedIteration:
    """What both loops have in common."""

    runner: Runner
    _iter: int

    def __init__(self, *args: Any, chunk_size: int = 16, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.chunk_size = chunk_size

    def run(self) -> nn.Module:
        """Train."""
        _check(self.runner, self.chunk_size)
        return super().run()

    def _train_on(self, batch_idx: int, data_batch: dict) -> None:
        self.runner.call_hook('before_train_iter', batch_idx=batch_idx, data_batch=data_batch)
        outputs = cached_step(self.runner.model, self.runner.optim_wrapper, data_batch,
                              self.chunk_size)
        self.runner.call_hook('after_train_iter', batch_idx=batch_idx, data_batch=data_batch,
                              outputs=outputs)
        self._iter += 1


@LOOPS.register_module()
class GradientCacheTrainLoop(_CachedIteration, EpochBasedTrainLoop):
    """Epochs of :func:`cached_step`.

    Args:
        *args: As :class:`mmengine.runner.EpochBasedTrainLoop` has them.
        chunk_size (int): Items of a rank's batch that are held at a time. Defaults to 16.
        **kwargs: Likewise.
    """

    def run_iter(self, idx: int, data_batch: dict) -> None:
        """Train on one batch."""
        self._train_on(idx, data_batch)


@LOOPS.register_module()
class GradientCacheIterTrainLoop(_CachedIteration, IterBasedTrainLoop):
    """Iterations of :func:`cached_step`.

    Its arguments are those of :class:`mmengine.runner.IterBasedTrainLoop`, and ``chunk_size`` as
    :class:`GradientCacheTrainLoop` has it.
    """

    def run_iter(self, data_batch: dict) -> None:
        """Train on one batch."""
        self._train_on(self._iter, data_batch)
