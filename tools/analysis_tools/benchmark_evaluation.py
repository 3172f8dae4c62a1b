"""Measure what evaluation costs: videos and captions encoded a second, and how it grows with N.

    python tools/analysis_tools/benchmark_evaluation.py configs/clip2video_msrvtt.py

Weights are random and input is synthetic; decoding is measured by benchmark_decoding.py. Every
video and every caption is encoded once, so the cost is a sum over both and never over pairs;
ranking is one matrix product, measured here at the largest N of the data sets.
"""
from __future__ import annotations

import argparse
import copy
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark_training import common_arguments

sys.path.append(str(Path(__file__).resolve().parents[1]))
from command_line import positive_int, run

if TYPE_CHECKING:
    from torch import nn


def encode(model: nn.Module, batch: dict, num_videos: int, captions_per_video: int,
           device: str) -> tuple[float, float]:
    """Return the seconds of encoding N videos, and N times so many captions."""
    import torch
    from measured_steps import Clock

    from mmc2v.models.text_chunks import embed_by_length

    clock = Clock(device, waits=True)
    clock.start()
    size = len(batch['inputs']['frames'])
    for start in range(0, num_videos, size):
        part = {key: value[:num_videos - start] for key, value in batch['inputs'].items()
                if key != 'tokens'}
        inputs = model.data_preprocessor(dict(inputs=part))['inputs']
        model.encode_video(inputs['frames'], inputs['frame_mask'])
    clock.part('videos')
    tokens = torch.cat(batch['inputs']['tokens']).repeat(
        -(-num_videos * captions_per_video // size), 1)[:num_videos * captions_per_video]
    for chunk in tokens.split(32 * captions_per_video):
        inputs = model.data_preprocessor(dict(inputs=dict(tokens=[chunk])))['inputs']
        embed_by_length(model.embed_text, inputs['tokens'], model.data_preprocessor.pad_token)
    clock.part('captions')
    return clock.medians()['videos'], clock.medians()['captions']


def rank(num_videos: int, captions_per_video: int, width: int) -> float:
    """Return the seconds of ranking both directions."""
    import numpy as np

    from mmc2v.evaluation import retrieval_ranks

    random = np.random.default_rng(0)
    video = random.standard_normal((num_videos, width), dtype=np.float32)
    text = random.standard_normal((num_videos * captions_per_video, width), dtype=np.float32)
    owner = np.repeat(np.arange(num_videos), captions_per_video)
    start = time.perf_counter()
    retrieval_ranks(text, video, owner, np.arange(num_videos))
    return time.perf_counter() - start


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = common_arguments(__doc__)
    parser.add_argument('--videos', type=positive_int, nargs='+', default=[8, 16, 32],
                        help='numbers N of videos; default 8 16 32')
    parser.add_argument('--captions-per-video', type=positive_int, default=20,
                        help='captions of each video; default 20')
    parser.add_argument('--bf16', action='store_true',
                        help='bfloat16 weights beside float32 ones, in turns')
    parser.add_argument('--repeats', type=positive_int, default=3, help='rounds; default 3')
    return parser.parse_args()


def measure(args: argparse.Namespace) -> None:
    """Measure and print, without gradients."""
    import torch
    from measured_steps import prepare, synthetic_batch

    from mmc2v.apis import use_bf16_weights

    config, model, device = prepare(args)
    models = {'float32': model.eval()}
    if args.bf16:
        models['bfloat16'] = copy.deepcopy(model)
        use_bf16_weights(models['bfloat16'])
    batch = synthetic_batch(config, args.batch_size or 8)
    for each in models.values():
        encode(each, batch, 1, 1, device)
    print(f'\n{args.config}, torch {torch.__version__}, {device}, {args.captions_per_video} '
          'captions a video')
    print('     N  weights    videos s  videos/s  captions s  captions/s')
    for number in args.videos:
        num_captions = number * args.captions_per_video
        rounds = [{name: encode(each, batch, number, args.captions_per_video, device)
                   for name, each in models.items()} for _ in range(args.repeats)]
        for name in models:
            videos, captions = (statistics.median(times[name][part] for times in rounds)
                                for part in range(2))
            print(f'{number:6}  {name:8} {videos:10.2f} {number / videos:9.2f} {captions:11.2f} '
                  f'{num_captions / captions:11.1f}')
    if args.bf16:
        ratio = statistics.median(sum(times['float32']) / sum(times['bfloat16'])
                                  for times in rounds)
        inputs = model.data_preprocessor(batch)['inputs']
        cosine = min(torch.cosine_similarity(
            *(each.encode_video(inputs['frames'], inputs['frame_mask'])
              for each in models.values())).min().item(), torch.cosine_similarity(
            *(each.encode_text(inputs['tokens']) for each in models.values())).min().item())
        print(f'bfloat16 weights: {ratio:.2f} times as fast, least cosine to float32 {cosine:.5f}')
    width = model.encode_text(torch.tensor([[49406, 49407]], device=device)).shape[1]
    per_video, per_caption = videos / number, captions / num_captions
    for title, n, m in (('MSR-VTT 1k-A', 1000, 1), ('MSR-VTT full', 2990, 20)):
        ranking, encoding = rank(n, m, width), n * per_video + n * m * per_caption
        print(f'{title}: ranking {n * m} x {n} takes {ranking:.2f} s, encoding at these rates '
              f'{encoding:.0f} s: {ranking / encoding:.4f} of it')


def main() -> None:
    """Measure as the command line says."""
    args = parse_args()
    import torch

    with torch.inference_mode():
        measure(args)


if __name__ == '__main__':
    run(main)
