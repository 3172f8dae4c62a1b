"""Measure training steps of a config: speed, where the time goes, memory, and share of the peak.

    python tools/analysis_tools/benchmark_training.py configs/clip2video_msrvtt.py
    python tools/analysis_tools/benchmark_training.py CONFIG --input real --batch-size 64

Weights are random and input is synthetic unless asked otherwise. The split is measured with a wait
for the device after each part, the speed without. 'All but the two towers' are the forward and the
backward pass of neck, head and loss on the towers' outputs, and the optimizer's step of their
parameters, in turns with whole steps.
The matrix rate is the best of square products of several sizes on this device, in the precision of
the config.
"""
import argparse
import sys
from functools import partial
from pathlib import Path
from typing import Optional

sys.path.append(str(Path(__file__).resolve().parents[1]))
from command_line import Parser, add_cfg_options, non_negative_int, positive_int, run


def common_arguments(description: Optional[str]) -> Parser:
    """Return the arguments of both benchmarks."""
    parser = Parser(description)
    parser.add_argument('config', help='config file')
    parser.add_argument('--batch-size', type=positive_int, help="default: the config's")
    parser.add_argument('--pretrained', action='store_true',
                        help="start from the config's CLIP weights; default random ones")
    add_cfg_options(parser)
    return parser


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = common_arguments(__doc__)
    parser.add_argument('--input', choices=['synthetic', 'real'], default='synthetic',
                        help="real: the config's training data; default synthetic")
    parser.add_argument('--steps', type=positive_int, default=10, help='measured steps; default 10')
    parser.add_argument('--warmup', type=non_negative_int, default=3,
                        help='steps before, not measured; default 3')
    parser.add_argument('--chunk-size', type=positive_int,
                        help='train with gradient caching by chunks of this size; speed and '
                        'memory alone')
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    args = parse_args()
    import measured_steps as measured
    import torch
    from mmengine.optim import build_optim_wrapper

    config, model, device = measured.prepare(args)
    batch_size = args.batch_size or config.train_dataloader.batch_size
    model.train()
    optim_wrapper = build_optim_wrapper(model, config.optim_wrapper)
    is_half = 'Autocast' in optim_wrapper.__class__.__name__
    forward, both = measured.flops_per_sample(model, config, optim_wrapper)
    data = measured.batches(config, batch_size, args.input == 'real')
    split, free, rest = (measured.Clock(device, waits) for waits in (True, False, True))
    one_step = measured.step if args.chunk_size is None else partial(
        measured.chunked_step, chunk_size=args.chunk_size)
    for number in range(args.warmup + args.steps):
        if number == args.warmup:
            split, rest = measured.Clock(device, True), measured.Clock(device, True)
            if device == 'cuda':
                torch.cuda.reset_peak_memory_stats()
        one_step(model, optim_wrapper, data, split)
        if args.chunk_size is None and (number >= args.warmup or number == 0):
            measured.rest_step(model, optim_wrapper, data, rest)
    peak = measured.peak_memory(device)
    start = free._now(True)
    for _ in range(args.steps):
        one_step(model, optim_wrapper, data, free)
    seconds = (free._now(True) - start) / args.steps
    rate = measured.matrix_rate(device, torch.bfloat16 if is_half else torch.float32)
    print(f'\n{args.config}, {args.input} input, batch {batch_size}, '
          + (f'in chunks of {args.chunk_size}, ' if args.chunk_size else '') +
          f'{"bfloat16 autocast" if is_half else "float32"}, torch {torch.__version__}, '
          + device_name(device))
    print(f'{batch_size / seconds:.2f} videos/s, {seconds:.4f} s a step')
    print_split(split.medians(), None if args.chunk_size else rest.medians())
    print(f'peak memory: {peak:.2f} GB')
    print(f'{forward / 1e9:.1f} GFLOP forward, {both / 1e9:.1f} forward and backward a sample')
    print(f'{both * batch_size / seconds / 1e12:.2f} TFLOP/s, '
          f'{both * batch_size / seconds / rate:.1%} of the measured matrix rate of '
          f'{rate / 1e12:.2f} TFLOP/s')


def device_name(device: str) -> str:
    """Say what the figures were measured on."""
    import torch

    return torch.cuda.get_device_name() if device == 'cuda' else \
        f'CPU, {torch.get_num_threads()} threads'


def print_split(parts: dict[str, float], rest: Optional[dict[str, float]]) -> None:
    """Print the seconds of the parts of a step, and how much of it is not of the two towers.

    Args:
        parts (dict[str, float]): Of whole steps.
        rest (dict[str, float], optional): Of steps without the towers, where they were measured.
    """
    print('split: ' + ', '.join(f'{part} {value:.4f} s ({value / sum(parts.values()):.1%})'
                                for part, value in parts.items()))
    if rest is not None:
        alone, whole = (sum(times.values()) for times in (rest, parts))
        print(f'all but the two towers: {alone:.4f} s, {alone / whole:.1%} of the step; with data '
              f'{(alone + parts["data"]) / whole:.1%}')


if __name__ == '__main__':
    run(main)
