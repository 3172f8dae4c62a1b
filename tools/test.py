"""Evaluate a model.

    python tools/test.py configs/clip2video_msrvtt.py work_dirs/clip2video_msrvtt/epoch_5.pth
    bash tools/dist_test.sh configs/clip2video_msrvtt.py CHECKPOINT 8

The checkpoint may also stand in the config's load_from. Without any the model is evaluated as it
starts from its CLIP weights (zero-shot), which is refused where a parameter would be random.

Where a paper has figures for the config (metafile.yml beside it), the table shows them below the
measured ones, if the model is the config's and the whole test set of that protocol was measured;
else a line says why not. Rows of dual softmax, QB-Norm and other protocols have none.
"""
from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Optional

from command_line import positive_int, run, runner_parser

if TYPE_CHECKING:
    from mmengine.config import Config
    from mmengine.runner import Runner

    from mmc2v.evaluation import PublishedFigures


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


def add_outputs(config: Config, args: argparse.Namespace, temporary: str = '') -> Optional[str]:
    """Add what the command line asks for to the evaluator and the hooks.

    Args:
        config (Config): Changed in place.
        args (argparse.Namespace): Of the command line.
        temporary (str): Where embeddings go that are drawn and not kept.

    Returns:
        str, optional: The file of embeddings to draw; None where nothing is.

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
    if (options or args.query_bank or args.show_dir) and not metrics:
        raise ValueError('--dump, --all-captions, --dual-softmax, --query-bank and --show-dir need '
                         f'mmc2v.RetrievalMetric in test_evaluator, which is {evaluator}')
    for metric in metrics:
        metric.update(options)
    if args.query_bank is not None:
        config.custom_hooks = [*config.get('custom_hooks', []), dict(
            type='mmc2v.QueryBankHook', ann_file=args.query_bank,
            num_captions=args.query_bank_size)]
    if args.show_dir is None:
        return None
    metrics[0].dump = metrics[0].get('dump') or temporary
    return metrics[0].dump


def load_weights(runner: Runner, args: argparse.Namespace) -> None:
    """Give the model the weights that are tested."""
    from mmc2v.apis import load_whole, start_from_pretrained, use_bf16_weights
    from mmc2v.engine.bare_model import bare_model

    model = bare_model(runner)
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


def draw(runner: Runner, dump: str, show_dir: str) -> None:
    """Draw queries and their best videos, with frames of the data set that was tested."""
    from visualizations.retrieval_picture import draw_queries

    from mmc2v.evaluation import RetrievalEmbeddings

    path = Path(show_dir, 'retrieval.png')
    draw_queries(RetrievalEmbeddings.load(dump), runner.test_loop.dataloader.dataset, path)
    runner.logger.info(f'queries and their best videos are drawn in {path}')


def show_table(runner: Runner, metrics: dict[str, float],
               published: Optional[PublishedFigures]) -> None:
    """Print the table; the paper's figures beside the measured ones, or why they are not."""
    from mmc2v.evaluation import format_table

    protocol = getattr(runner.test_dataloader.dataset, 'metainfo', {}).get('protocol')
    objections = published.objections(metrics, protocol) if published is not None else []
    print(format_table(metrics, None if objections else published), flush=True)
    if objections:
        print(f"the paper's figures ({published.title}) are not shown, as they do not compare: "
              + '; '.join(objections), flush=True)


def test(args: argparse.Namespace, temporary: str) -> dict[str, float]:
    """Test as the command line says; ``temporary`` is as in :func:`add_outputs`."""
    from launch.run_summary import log_summary
    from launch.runner import build_runner, end_processes, load_config, start_processes
    from mmengine.dist import is_main_process

    from mmc2v.evaluation import find_published
    from mmc2v.whole_files import to_json, write_whole

    config = load_config(args, ['model', 'test_dataloader', 'test_cfg', 'test_evaluator'])
    published = find_published(config)
    args.checkpoint = args.checkpoint or config.get('load_from')
    config.load_from, config.resume = None, False  # loaded below, whole or not at all
    dump = add_outputs(config, args, temporary)
    start_processes(config)
    runner = build_runner(config, args)
    log_summary(runner, test=runner.test_loop.dataloader)
    if dump is not None:
        from visualizations.retrieval_picture import valid_frames
        valid_frames(runner.test_loop.dataloader.dataset, 0)  # refused now rather than at the end
    load_weights(runner, args)
    metrics = runner.test()
    if is_main_process():
        if any(key.endswith('/R1') for key in metrics):  # and no recognizer's accuracy
            show_table(runner, metrics, published)
        if args.out is not None:
            write_whole(args.out, to_json(metrics))
        if dump is not None:
            draw(runner, dump, args.show_dir)
    end_processes(runner)
    return metrics


def main() -> dict[str, float]:
    """Test as the command line says."""
    args = parse_args()
    with TemporaryDirectory() as folder:
        return test(args, str(Path(folder, 'embeddings.npz')))


if __name__ == '__main__':
    run(main)
