"""Train a model.

    python tools/train.py configs/clip2video_msrvtt.py
    bash tools/dist_train.sh configs/clip2video_msrvtt.py 8

The options are those of MMAction2's tools/train.py, and what is given here wins over the config.
"""
import argparse

from command_line import run, runner_parser, seed


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = runner_parser(__doc__)
    parser.add_argument('--resume', nargs='?', const='auto',
                        help='go on from a checkpoint; without a path, from the latest in the '
                        'work dir')
    parser.add_argument('--amp', action='store_true', help='train in bfloat16 autocast')
    parser.add_argument('--no-validate', action='store_true', help='do not evaluate in training')
    parser.add_argument('--auto-scale-lr', action='store_true',
                        help="scale the learning rate to the total batch (the config's "
                        'auto_scale_lr.base_batch_size)')
    parser.add_argument('--seed', type=seed, help="random seed; default the config's, or a random "
                        'one where it has none')
    parser.add_argument('--diff-rank-seed', action='store_true',
                        help='give every rank a seed of its own')
    parser.add_argument('--deterministic', action='store_true',
                        help='let cuDNN use deterministic algorithms alone')
    return parser.parse_args()


def use_autocast(optim_wrapper: dict) -> None:
    """Turn a plain optimizer wrapper into the bfloat16 one, in place.

    Raises:
        ValueError: If the config uses another kind of wrapper.
    """
    kind = optim_wrapper.get('type', 'OptimWrapper')
    if kind not in ('OptimWrapper', 'AmpOptimWrapper', 'mmc2v.AutocastOptimWrapper'):
        raise ValueError(f"--amp cannot change optim_wrapper.type='{kind}'; set it in the config")
    for key in ('loss_scale', 'dtype', 'use_fsdp'):  # of AmpOptimWrapper
        optim_wrapper.pop(key, None)
    optim_wrapper.type = 'mmc2v.AutocastOptimWrapper'


def apply_options(config: dict, args: argparse.Namespace) -> None:
    """Put what the command line says into the config, in place.

    Raises:
        ValueError: If the config lacks what an option needs.
    """
    if args.no_validate:
        config.val_cfg = config.val_dataloader = config.val_evaluator = None
        config.default_hooks.checkpoint.pop('save_best', None)  # there is nothing to compare
    if args.amp:
        use_autocast(config.optim_wrapper)
    if args.resume is not None:
        config.resume = True
        config.load_from = None if args.resume == 'auto' else args.resume
    if args.auto_scale_lr:
        if 'base_batch_size' not in config.get('auto_scale_lr', {}):
            raise ValueError('--auto-scale-lr needs auto_scale_lr=dict(base_batch_size=...) in '
                             'the config')
        config.auto_scale_lr.enable = True
    randomness = dict(config.get('randomness') or {})
    given = dict(seed=args.seed, diff_rank_seed=args.diff_rank_seed or None,
                 deterministic=args.deterministic or None)
    given = {key: value for key, value in given.items() if value is not None}
    config.randomness = {'seed': None, **randomness, **given}


def main() -> None:
    """Train as the command line says."""
    args = parse_args()
    from launch.run_summary import log_summary, start_of_training
    from launch.runner import (
        build_runner,
        end_processes,
        load_config,
        lock_early,
        start_processes,
    )
    from launch.safety_hooks import complete_hooks
    from launch.training_settings import check_training

    from mmc2v.engine.hooks.contrastive_batch import refuse_empty_epoch

    config = load_config(args, ['model', 'train_dataloader', 'train_cfg', 'optim_wrapper'])
    check_training(config)
    apply_options(config, args)
    added = complete_hooks(config)
    start_processes(config)
    lock_early(config)
    runner = build_runner(config, args)
    # schedulers counted in iterations would fail on it with a riddle
    refuse_empty_epoch(runner.train_loop.dataloader)
    log_summary(runner, training=runner.train_loop.dataloader, **(
        dict(validation=runner.val_loop.dataloader) if runner.val_loop is not None else {}))
    if added:
        runner.logger.info(f"custom_hooks of the config lacks {', '.join(added)}, which are added; "
                           'disabled_hooks leaves out those that it names')
    runner.logger.info(start_of_training(runner))
    runner.train()
    end_processes(runner)


if __name__ == '__main__':
    run(main)
