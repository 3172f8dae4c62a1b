"""Evaluate a model on the video tasks of MTEB, in its form of results.

    python tools/mteb.py CONFIG CHECKPOINT --tasks MSRVTTT2V MSRVTTV2T --name ORG/NAME
    python tools/mteb.py DIR --tasks MSVDT2VRetrieval          # an exported model

Data are downloaded by MTEB. Results go to OUT/results/NAME/REVISION, one file a task, with what is
known of the model; a task that is there already is not run again. Without a checkpoint the model
starts from the config's CLIP weights. Needs pip install 'mmc2v[mteb]'; docs/benchmarks.md has the
tasks and what their figures compare with.
"""
from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __name__ == 'mteb':  # asked for in the place of the package, which is found first where it is
    raise ModuleNotFoundError("No module named 'mteb'", name='mteb')

# Python looks first where the script lies, and would take it for the package of the same name.
sys.path.append(sys.path.pop(0))
from command_line import Parser, add_cfg_options, key_value, non_negative_int, positive_int, run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mmengine.config import Config
    from mteb.abstasks import AbsTask
    from mteb.results import TaskResult

_COLUMNS = dict(hit_rate_at_1='R@1', hit_rate_at_5='R@5', hit_rate_at_10='R@10')


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(__doc__)
    parser.add_argument('config', help='config file, or folder of an exported model')
    parser.add_argument('checkpoint', nargs='?', help="checkpoint of the config's model; default "
                        "the config's CLIP weights")
    parser.add_argument('--tasks', nargs='+', default=['MSRVTTT2V', 'MSRVTTV2T'], metavar='TASK',
                        help='names of tasks; default MSRVTTT2V MSRVTTV2T')
    parser.add_argument('--name', help='of the model in results, as ORG/NAME; default '
                        'local/ and the name of the config')
    parser.add_argument('--revision', help='of the model in results; default a digest of weights, '
                        'model and test pipeline')
    parser.add_argument('--meta', nargs='+', action='extend', type=key_value, default=[],
                        metavar='KEY=VALUE', help='what results say of the model beside, such as '
                        'license=apache-2.0 release_date=2026-11-27 languages=eng-Latn')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/mteb'),
                        help='folder of results; default work_dirs/mteb')
    parser.add_argument('--device', help='such as cpu or cuda:0; default a GPU if there is one')
    parser.add_argument('--bf16', action='store_true',
                        help='keep towers and neck in bfloat16: faster on CPUs that have it, half '
                        'the memory; vectors are float32')
    parser.add_argument('--batch-size', type=positive_int, default=16,
                        help='texts or videos at a time; default 16')
    parser.add_argument('--workers', type=non_negative_int, default=2,
                        help='processes that read videos; default 2')
    add_cfg_options(parser)
    return parser.parse_intermixed_args()  # options may stand between config and checkpoint


def config_of(args: argparse.Namespace) -> Config | str:
    """Return the config, or the folder of an exported model."""
    from mmc2v.config_reading import read_config
    from mmc2v.export.runtime import is_exported
    if not is_exported(args.config):
        return read_config(args.config, args.cfg_options, ['model', 'test_dataloader'])
    if args.cfg_options:
        raise ValueError(f"'{args.config}' is an exported model, which has its config: do not give "
                         '--cfg-options')
    return args.config


def tasks_of(names: Sequence[str]) -> list[AbsTask]:
    """Return tasks by their names; those that the model cannot answer are refused now."""
    import mteb

    from mmc2v.benchmarks import require_separate_modalities
    tasks = []
    for name in names:
        try:
            with warnings.catch_warnings(action='ignore'):  # of beta tasks, which is logged as well
                tasks.append(mteb.get_task(name))
        except KeyError as error:
            raise ValueError(f'MTEB {mteb.__version__} has no such task: '
                             + error.args[0].removeprefix('KeyError: ')) from error
        require_separate_modalities(tasks[-1])
    return tasks


def table(tasks: Sequence[AbsTask], results: Sequence[TaskResult]) -> str:
    """Return one line a task: its main score, and the share of queries found, in percent."""
    names = {task.metadata.name: task.metadata.main_score for task in tasks}
    lines = [f'{"task":38}{"main score":>24}' + ''.join(f'{name:>8}' for name in _COLUMNS.values())]
    for result in results:
        scores: dict[str, Any] = next(iter(result.scores.values()))[0]
        main = f'{names[result.task_name]} {100 * scores["main_score"]:.1f}'
        shares = [f'{100 * scores[key]:.1f}' if key in scores else '' for key in _COLUMNS]
        lines.append(f'{result.task_name:38}{main:>24}' + ''.join(f'{each:>8}' for each in shares))
    return '\n'.join(lines)


def main() -> None:
    """Evaluate, and say what came out and what results still lack."""
    args = parse_args()
    try:
        from mmc2v.benchmarks import MTEBEncoder, not_stated
    except ImportError as error:  # which says what to install
        sys.exit(f'error: {error}')
    import mteb
    config, tasks = config_of(args), tasks_of(args.tasks)
    name = args.name or f"local/{Path(args.config.split('::')[-1]).stem}"
    encoder = MTEBEncoder(
        name, args.revision, args.device, config=config, checkpoint=args.checkpoint,
        bf16=args.bf16, workers=args.workers,
        stated=dict(option.split('=', 1) for option in args.meta))
    meta = encoder.mteb_model_meta
    results = mteb.evaluate(encoder, tasks, cache=mteb.ResultCache(args.out), co2_tracker=False,
                            encode_kwargs=dict(batch_size=args.batch_size))
    print(table(tasks, results.task_results))
    print(f'results: {args.out / "results" / meta.model_name_as_path() / meta.revision}')
    missing = not_stated(meta)
    if missing:
        print(f'not stated, and wanted where results are submitted (--meta): {", ".join(missing)}')


if __name__ == '__main__':
    run(main)
