"""Evaluate a model.

    python tools/test.py configs/clip2video_msrvtt.py work_dirs/clip2video_msrvtt/epoch_5.pth
    bash tools/dist_test.sh configs/clip2video_msrvtt.py CHECKPOINT 8

Without a checkpoint the model is evaluated as it starts from its CLIP weights (zero-shot), which
is refused where a parameter would be random.
"""
import argparse
import json
from pathlib import Path

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.runner import Runner

import mmc2v  # noqa: F401  (mends the environment before a config is parsed)
from mmc2v.apis import start_from_pretrained
from mmc2v.engine.launch import (
    build_runner,
    common_parser,
    end_processes,
    load_config,
    start_processes,
)
from mmc2v.evaluation import format_table


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = common_parser(__doc__)
    parser.add_argument('checkpoint', nargs='?', help='checkpoint file')
    parser.add_argument('--out', type=Path, help='write the metrics to this JSON file')
    parser.add_argument('--dump', help='dump predictions to this .pkl file')
    parser.add_argument('--show-dir', help='draw queries and their best videos into this folder')
    return parser.parse_intermixed_args()  # options may stand between config and checkpoint


def add_outputs(config: Config, args: argparse.Namespace) -> None:
    """Add the dump and the picture to the config."""
    if args.dump is not None:
        if not args.dump.endswith(('.pkl', '.pickle')):
            raise ValueError(f"--dump must name a .pkl file, got '{args.dump}'")
        evaluator = config.test_evaluator
        evaluators = list(evaluator) if isinstance(evaluator, (list, tuple)) else [evaluator]
        config.test_evaluator = [*evaluators, dict(type='DumpResults', out_file_path=args.dump)]
    if args.show_dir is not None:
        config.custom_hooks = [*config.get('custom_hooks', []),
                               dict(type='mmc2v.RetrievalPictureHook', out_dir=args.show_dir)]


def load_weights(runner: Runner, checkpoint: str) -> None:
    """Load a checkpoint, whole or not at all.

    Raises:
        ValueError: If parameters are missing from it or have other shapes.
    """
    try:
        runner.load_checkpoint(checkpoint, map_location='cpu', strict=True)
    except RuntimeError as error:
        raise ValueError(f"'{checkpoint}' is not a checkpoint of this config's model; give the "
                         f'config that it was trained with, or convert it first. {error}') \
            from error


def main() -> dict[str, float]:
    """Test as the command line says."""
    args = parse_args()
    config = load_config(args)
    add_outputs(config, args)
    start_processes(config)
    runner = build_runner(config)
    if args.checkpoint is None:
        model = getattr(runner.model, 'module', runner.model)
        start_from_pretrained(model)
        runner.logger.info(f"no checkpoint given: evaluating the CLIP weights '{model.pretrained}' "
                           'as training would start from them')
    else:
        load_weights(runner, args.checkpoint)
    metrics = runner.test()
    if is_main_process():
        print(format_table(metrics), flush=True)
        if args.out is not None:
            args.out.parent.mkdir(parents=True, exist_ok=True)
            args.out.write_text(json.dumps(metrics, indent=1) + '\n')
    end_processes(runner)
    return metrics


if __name__ == '__main__':
    main()
