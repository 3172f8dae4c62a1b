"""Evaluate a model.

    python tools/test.py configs/clip2video_msrvtt.py work_dirs/clip2video_msrvtt/epoch_5.pth
    bash tools/dist_test.sh configs/clip2video_msrvtt.py CHECKPOINT 8

The checkpoint may also stand in the config's load_from. Without any the model is evaluated as it
starts from its CLIP weights (zero-shot), which is refused where a parameter would be random.

Where a paper has figures for the config (metafile.yml beside it), the table shows them below the
measured ones, if the model is the config's and the whole test set of that protocol was measured.
"""
from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from command_line import positive_int, run, runner_parser

if TYPE_CHECKING:
    from mmengine.config import Config


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = runner_parser(__doc__)
    parser.add_argument('checkpoint', nargs='?', help='checkpoint file')
    parser.add_argument('--out', type=Path, help='write the metrics to this JSON file')
    parser.add_argument('--dump', help='write all embeddings with their ids to this .npz file; '
                        'tools/analysis_tools/evaluate_dump.py recomputes every protocol from it')
    parser.add_argument('--all-captions', action='store_true',
                        help="also V2T by the other convention: a video's best caption among all "
                        "captions instead of among videos' groups of captions")
    parser.add_argument('--dual-softmax', action='store_true',
                        help='also with dual softmax, which uses the whole query set')
    parser.add_argument('--query-bank', metavar='ANNOTATION',
                        help='also with QB-Norm, by a bank of the captions of this training '
                        'annotation')
    parser.add_argument('--query-bank-size', type=positive_int, default=10000,
                        help='captions of the bank; default 10000')
    parser.add_argument('--bf16', action='store_true',
                        help='keep towers and neck in bfloat16: faster on CPUs that have it, half '
                        'the memory; embeddings are float32')
    parser.add_argument('--show-dir', help='draw queries and their best videos into this folder')
    return parser.parse_intermixed_args()  # options may stand between config and checkpoint


def add_outputs(config: Config, args: argparse.Namespace) -> None:
    """Add what the command line asks for to the evaluator and the hooks.

    Raises:
        ValueError: If the config has no RetrievalMetric that could do it.
    """
    options: dict = {}
    if args.dump is not None:
        if not args.dump.endswith('.npz'):
            raise ValueError(f"--dump must name an .npz file, got '{args.dump}'")
        options.update(dump=args.dump, dump_info=dict(
            config=Path(args.config).name,
            checkpoint=Path(args.checkpoint).name if args.checkpoint else None))
    options.update({key: True for key in ('all_captions', 'dual_softmax') if getattr(args, key)})
    evaluator = config.test_evaluator
    metrics = [metric for metric in (evaluator if isinstance(evaluator, (list, tuple))
                                     else [evaluator])
               if metric.type.split('.')[-1] == 'RetrievalMetric']
    if (options or args.query_bank) and not metrics:
        raise ValueError(f'--dump, --all-captions, --dual-softmax and --query-bank need '
                         f'mmc2v.RetrievalMetric in test_evaluator, which is {evaluator}')
    for metric in metrics:
        metric.update(options)
    hooks = list(config.get('custom_hooks', []))
    if args.query_bank is not None:
        hooks.append(dict(type='mmc2v.QueryBankHook', ann_file=args.query_bank,
                          num_captions=args.query_bank_size))
    if args.show_dir is not None:
        hooks.append(dict(type='mmc2v.RetrievalPictureHook', out_dir=args.show_dir))
    config.custom_hooks = hooks


def main() -> dict[str, float]:
    """Test as the command line says."""
    args = parse_args()
    from mmengine.dist import is_main_process

    from mmc2v.apis import load_whole, start_from_pretrained, use_bf16_weights
    from mmc2v.engine.launch import build_runner, end_processes, load_config, start_processes
    from mmc2v.engine.run_summary import bare_model, log_summary
    from mmc2v.evaluation import find_published, format_table
    from mmc2v.whole_files import write_whole

    config = load_config(args, ['model', 'test_dataloader', 'test_cfg', 'test_evaluator'])
    published = find_published(config)
    args.checkpoint = args.checkpoint or config.get('load_from')
    config.load_from, config.resume = None, False  # loaded below, whole or not at all
    add_outputs(config, args)
    start_processes(config)
    runner = build_runner(config, args)
    model = bare_model(runner)
    log_summary(runner, test=runner.test_loop.dataloader)
    if args.checkpoint is None:
        start_from_pretrained(model)
        runner.logger.info(f"no checkpoint given: evaluating the CLIP weights '{model.pretrained}' "
                           'as training would start from them')
    else:
        # not by the runner: EMAHook is not ready before testing begins, and has nothing to add,
        # as the averaged weights are those that a checkpoint has as the model's
        load_whole(model, args.checkpoint)
    if args.bf16:
        use_bf16_weights(model)
    metrics = runner.test()
    if is_main_process():
        if any(key.endswith('/R1') for key in metrics):  # and no recognizer's accuracy
            protocol = getattr(runner.test_dataloader.dataset, 'metainfo', {}).get('protocol')
            if published is not None and not published.comparable_to(metrics, protocol):
                published = None
            print(format_table(metrics, published), flush=True)
        if args.out is not None:
            write_whole(args.out, f'{json.dumps(metrics, indent=1)}\n'.encode())
    end_processes(runner)
    return metrics


if __name__ == '__main__':
    run(main)
