"""What the benchmarks of training and of evaluation measure: synthetic input, steps, a clock."""
import argparse
import statistics
import time
from collections.abc import Iterator

import mmc2v  # noqa: F401  (mends the environment before the others are imported)

# isort: split
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mmc2v.config_reading import read_config
from mmc2v.engine.gradient_cache import cached_step
from mmc2v.registry import MODELS
from mmc2v.structures import TextTokens


def synthetic_batch(config: Config, batch_size: int, seed: int = 0) -> dict:
    """Make a collated batch of the sizes that a config's training pipeline gives.

    Captions are as long as those of MSR-VTT about are: 8 to 24 tokens, and one of full length.
    """
    dataset = config.train_dataloader.dataset
    steps = {step['type'].split('.')[-1]: step for step in dataset.pipeline}
    frames = steps['SampleGridFrames'].get('num_frames', 12)
    size = steps['ResizeCenterCrop'].get('size', 224)
    length = steps['Tokenize'].get('max_words', 32)
    random = torch.Generator().manual_seed(seed)
    tokens = torch.randint(1, 49406, (batch_size, length), generator=random)
    for row in range(batch_size):
        end = length - 1 if row == 0 else int(torch.randint(
            min(8, length - 1), min(24, length), (), generator=random))
        tokens[row, 0], tokens[row, end], tokens[row, end + 1:] = 49406, 49407, 0
    images = torch.randint(0, 256, (frames, 3, size, size), generator=random, dtype=torch.uint8)
    return dict(inputs=dict(
        frames=[images.roll(row, 0) for row in range(batch_size)],
        frame_mask=[torch.ones(frames, dtype=torch.bool)] * batch_size,
        tokens=list(tokens[:, None])), data_samples=None)


def batches(config: Config, batch_size: int, real: bool) -> Iterator[dict]:
    """Yield collated batches without end."""
    if not real:
        batch = synthetic_batch(config, batch_size)
        while True:
            yield batch
    loader = Runner.build_dataloader(dict(config.train_dataloader, batch_size=batch_size), seed=0)
    while True:
        yield from loader


class Clock:
    """Measures parts of a step; waits for the device where that is asked for."""

    def __init__(self, device: str, waits: bool) -> None:
        self.cuda = device == 'cuda'
        self.waits = waits
        self.parts: dict[str, list[float]] = {}
        self._last = self._now(True)

    def _now(self, wait: bool) -> float:
        if self.cuda and wait:
            torch.cuda.synchronize()
        return time.perf_counter()

    def start(self) -> None:
        """Begin a step."""
        self._last = self._now(self.waits)

    def part(self, name: str) -> None:
        """End a part."""
        now = self._now(self.waits)
        self.parts.setdefault(name, []).append(now - self._last)
        self._last = now

    def medians(self) -> dict[str, float]:
        """Return the median seconds of each part."""
        return {name: statistics.median(values) for name, values in self.parts.items()}


def step(model: nn.Module, optim_wrapper: OptimWrapper, data: Iterator[dict],
         clock: Clock) -> None:
    """Do one training step as MMEngine does it."""
    clock.start()
    batch = model.data_preprocessor(next(data), training=True)
    clock.part('data')
    with optim_wrapper.optim_context(model):
        losses = model(**batch, mode='loss')
        loss, _ = model.parse_losses(losses)
    clock.part('forward')
    optim_wrapper.backward(loss)
    clock.part('backward')
    optim_wrapper.step()
    optim_wrapper.zero_grad()
    clock.part('optimizer')


def chunked_step(model: nn.Module, optim_wrapper: OptimWrapper, data: Iterator[dict],
                 clock: Clock, chunk_size: int) -> None:
    """Do one step with gradient caching."""
    clock.start()
    cached_step(model, optim_wrapper, next(data), chunk_size)
    clock.part('step')


def rest_step(model: nn.Module, optim_wrapper: OptimWrapper, data: Iterator[dict],
              clock: Clock) -> None:
    """Do a step of all but the two towers, whose outputs are computed beforehand."""
    inputs = model.data_preprocessor(next(data), training=True)['inputs']
    with torch.no_grad(), optim_wrapper.optim_context(model):
        frames, mask = model.backbone(inputs['frames'], inputs['frame_mask'])
        tokens = model.text_backbone(inputs['tokens'])
    frames.requires_grad_()
    tokens = TextTokens(tokens.sentence.requires_grad_(), tokens.words.requires_grad_(),
                        tokens.word_mask)
    clock.start()
    with optim_wrapper.optim_context(model):
        video = model.head.embed_video(model.neck(frames, mask))
        losses = model.head.loss(model.head.embed_text(tokens), video)
        loss, _ = model.parse_losses(losses)
    clock.part('forward')
    optim_wrapper.backward(loss)
    clock.part('backward')
    optim_wrapper.step()  # of those parameters that have a gradient
    optim_wrapper.zero_grad()
    clock.part('optimizer')


def matrix_rate(device: str, dtype: torch.dtype) -> float:
    """Return the best measured FLOP/s of a square matrix product."""
    best = 0.0
    for size in (4096, 8192, 16384) if device == 'cuda' else (1024, 2048, 3072):
        a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
        for _ in range(3):
            a @ b
        repeats = 20 if device == 'cuda' else 3
        clock = Clock(device, waits=False)
        start = clock._now(True)
        for _ in range(repeats):
            a @ b
        best = max(best, 2 * size ** 3 * repeats / (clock._now(True) - start))
    return best


def flops_per_sample(model: nn.Module, config: Config, optim_wrapper: OptimWrapper,
                     batch_size: int = 2) -> tuple[float, float]:
    """Return FLOPs of forward, and of forward and backward, of one pair."""
    batch = model.data_preprocessor(synthetic_batch(config, batch_size), training=True)
    with FlopCounterMode(display=False) as counter:
        with optim_wrapper.optim_context(model):
            loss, _ = model.parse_losses(model(**batch, mode='loss'))
        forward = counter.get_total_flops()
        loss.backward()
    model.zero_grad(set_to_none=True)
    return forward / batch_size, counter.get_total_flops() / batch_size


def peak_memory(device: str) -> float:
    """Return GB: allocated on the GPU at most, or held by this process at most."""
    if device == 'cuda':
        return torch.cuda.max_memory_allocated() / 1e9
    import resource
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def prepare(args: argparse.Namespace) -> tuple[Config, nn.Module, str]:
    """Read the config and build its model on this machine's device."""
    config = read_config(args.config, args.cfg_options,
                         ['model', 'train_dataloader', 'optim_wrapper'])
    init_default_scope(config.get('default_scope', 'mmaction'))
    if not args.pretrained:
        config.model.pretrained = None
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    if args.pretrained:
        model.init_weights()
    device = get_device()
    return config, model.to(device), device
