"""What the training and test scripts share: a config, a runner, and processes."""
import argparse
import gc
import os
import os.path as osp
from collections.abc import Sequence

import torch
from mmengine.config import Config
from mmengine.dist import is_distributed
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmc2v.config_reading import parse_options, read_config
from mmc2v.engine import EvaluationProgressHook
from mmc2v.engine.checkpoint.work_dir_lock import lock_work_dir
from mmc2v.engine.main_process import on_main_process
from mmc2v.installed import config_file

from .loader_settings import fit_loaders
from .quiet_runner import QuietRunner


def load_config(args: argparse.Namespace, needs: Sequence[str]) -> Config:
    """Read the config and apply the options that training and testing have in common.

    Args:
        args (argparse.Namespace): Of the parser that both share.
        needs (Sequence[str]): Keys that the config must have.

    Raises:
        ValueError: See :func:`mmc2v.config_reading.read_config`.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    args.config = config_file(args.config)
    config = read_config(args.config, args.cfg_options, needs)
    config.launcher = args.launcher
    if args.work_dir is not None:
        config.work_dir = args.work_dir
    elif config.get('work_dir') is None:
        config.work_dir = osp.join('./work_dirs', osp.splitext(osp.basename(args.config))[0])
    return config


def start_processes(config: Config) -> None:
    """Start the process group where MMEngine would fail.

    MMEngine's launcher asks CUDA for a device. On a machine without one, torchrun's processes
    talk by gloo and the model wrapper must not name a device.

    Args:
        config (Config): With ``launcher`` set; ``model_wrapper_cfg`` is completed.

    Raises:
        ValueError: If a launcher other than pytorch is used without a GPU.
    """
    if config.launcher == 'none' or torch.cuda.is_available():
        return
    if config.launcher != 'pytorch':
        raise ValueError(f"launcher='{config.launcher}' needs GPUs; on CPUs use "
                         'tools/dist_train.sh, which launches by torchrun')
    torch.distributed.init_process_group('gloo')
    wrapper = dict(type='MMDistributedDataParallel', broadcast_buffers=False,
                   find_unused_parameters=config.get('find_unused_parameters', False))
    config.model_wrapper_cfg = dict({**wrapper, **(config.get('model_wrapper_cfg') or {})},
                                    device_ids=None)


def lock_early(config: Config) -> None:
    """Lock the work dir before the runner writes there, where processes can agree already.

    Two runs that start in one second would write into one log file. Where MMEngine is the one to
    start the process group, on GPUs, AtomicCheckpointHook locks, a moment later.

    Args:
        config (Config): With ``launcher`` and ``work_dir``.

    Raises:
        ValueError: If another run holds it.
    """
    if config.launcher == 'none' or is_distributed():
        on_main_process(lock_work_dir, config.work_dir)


def end_processes(runner: Runner) -> None:
    """End the process group, after success.

    Not after an error: the other ranks may be waiting in a collective, and a process that waits
    for them to join in would keep the launcher from ending them.

    Args:
        runner (Runner): Whose model is unwrapped, in place, see :func:`leave_process_group`.
    """
    if not is_distributed():
        return
    if is_model_wrapper(runner.model):
        runner.model = runner.model.module
    leave_process_group()


def leave_process_group() -> None:
    """End the process group of this process; every rank calls it, with no model wrapper left.

    The last to let go of a gloo group waits for its threads. The reducer of a distributed model and
    Python's own reference do so while they hold Python's lock, which those threads want when they
    let go of the tensors of a collective, and both would wait for ever. So wrappers go first, and
    all ranks wait until every collective has ended.
    """
    gc.collect()
    if torch.distributed.get_backend() == 'gloo':
        torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def build_runner(config: Config, args: argparse.Namespace) -> Runner:
    """Build the runner that the config asks for, with loaders that fit the machine.

    Args:
        config (Config): Its loaders are completed, see :func:`fit_loaders`.
        args (argparse.Namespace): Of the parser that training and testing share.

    Raises:
        ValueError: If a loader's numbers are impossible.
    """
    notes = fit_loaders(config, parse_options(args.cfg_options))
    if 'runner_type' in config:
        from mmaction.registry import RUNNERS
        runner = RUNNERS.build(config)
    else:
        runner = (Runner if args.verbose else QuietRunner).from_cfg(config)
    runner.register_hook(EvaluationProgressHook())
    for note in notes:
        runner.logger.info(note)
    return runner
