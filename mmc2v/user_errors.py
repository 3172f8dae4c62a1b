"""Tells what a user did wrong from faults of the program, and says the former in one line."""
import errno
import logging
import os
import pickle
import sys
import traceback
from types import FrameType
from typing import Any, Optional

from mmengine.dist import get_dist_info
from mmengine.logging import MMLogger
from mmengine.registry.build_functions import build_from_cfg
from torch._utils import ExceptionWrapper
from torch.utils.data._utils import signal_handling
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from mmc2v.registered_types import TAKEN_OUT, accepted_arguments, did_you_mean, unknown_type
from mmc2v.video import VideoDecodeError

# Values, files and videos that are not as they have to be, and a loss that became NaN.
USER_ERRORS = (ValueError, OSError, VideoDecodeError, FloatingPointError, pickle.UnpicklingError)

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # of a disk, of a user's share, of a limit


def user_message(error: BaseException) -> Optional[str]:
    """Return what to tell a user, or None where the error is a fault of the program.

    A config that names an unknown type, or an argument that its type does not take, is a user's
    mistake although Python calls them KeyError and TypeError.

    Args:
        error (BaseException): As it was caught.
    """
    # from where it was caught to where it was raised
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    if isinstance(error, OSError) and error.errno in _FULL and error.filename is None:
        return f'{error}, in writing {_run_files()}'  # by those that do not name their files
    if isinstance(error, (EOFError, OSError, RuntimeError)) and _is_of_dead_worker(error, frames):
        said = (str(error).strip().rstrip('.') if isinstance(error, RuntimeError)
                else 'DataLoader worker ended while it handed over a batch')
        return (f'{said}. Where memory ran out, lower num_workers or batch_size of the loader; a '
                'training goes on with --resume')
    if isinstance(error, USER_ERRORS):
        return _without_worker(error, frames) or type(error).__name__
    if isinstance(error, (KeyError, TypeError)):
        building = [frame for frame in frames if frame.f_code is build_from_cfg.__code__]
        if building:
            return _about_config(error, building[-1].f_locals, building[-1] is frames[-1])
    return None


def exit_with_message(error: BaseException) -> None:
    """End the process with one line and exit code 1 where an error is a user's, else return.

    The traceback goes to the log file of the run, if there is one. The process group is left as
    it is: other ranks may wait in a collective, and the launcher ends them.

    Args:
        error (BaseException): As it was caught.

    Raises:
        SystemExit: If it is a user's error.
    """
    _log_traceback(error)
    message = user_message(error)
    if message is not None:
        rank, world_size = get_dist_info()
        sys.exit(f'error{f" on rank {rank}" if world_size > 1 else ""}: {message}')


def _without_worker(error: BaseException, frames: list[FrameType]) -> str:
    """Return the message, without the traceback that torch puts into it in a loader's worker."""
    if frames and frames[-1].f_code is ExceptionWrapper.reraise.__code__:
        original = frames[-1].f_locals['self']
        kind = original.exc_type
        _, found, message = original.exc_msg.rpartition(f'\n{kind.__module__}.{kind.__name__}: ')
        if not found:  # a traceback names builtins without their module
            _, _, message = original.exc_msg.rpartition(f'\n{kind.__name__}: ')
        return message.strip()
    return str(error)


def _is_of_dead_worker(error: BaseException, frames: list[FrameType]) -> bool:
    """Whether a loader's worker has ended: torch says so, or it hangs up in handing over."""
    waiting = _MultiProcessingDataLoaderIter._try_get_data.__code__
    if not isinstance(error, RuntimeError):
        return any(frame.f_code is waiting for frame in frames)
    return bool(frames) and (frames[-1].f_code is waiting
                             or frames[-1].f_code.co_filename == signal_handling.__file__)


def _about_config(error: BaseException, building: dict[str, Any], is_raised_there: bool,
                  ) -> Optional[str]:
    """Say what is wrong with the component that MMEngine was building."""
    name = building.get('obj_type')
    kind = building.get('obj_cls')
    if is_raised_there and isinstance(error, KeyError):
        if name is None:
            return f"a component of the config has no 'type': {building['cfg']}"
        return unknown_type(name, building['registry'])
    if isinstance(error, TypeError) and kind is not None:
        accepted = accepted_arguments(kind)
        unknown = [key for key in building['args']
                   if key not in accepted.names and key not in TAKEN_OUT]
        if unknown and (is_raised_there or not accepted.is_open):
            return (f"the config gives '{name}' the argument '{unknown[0]}', which it does not "
                    'take' + did_you_mean(unknown[0], accepted.names))
        if is_raised_there:
            return f"the config cannot build '{name}': {error}"
    return None


def _run_files() -> str:
    """Say which files a run writes by others' means."""
    folders = [os.path.dirname(handler.baseFilename)
               for handler in MMLogger.get_current_instance().handlers
               if isinstance(handler, logging.FileHandler)]
    return f"the log and figures in '{folders[0]}'" if folders else 'a file'


def _log_traceback(error: BaseException) -> None:
    """Write the traceback into the log file of the run, and nowhere else."""
    logger = MMLogger.get_current_instance()
    record = logger.makeRecord(logger.name, logging.ERROR, __file__, 0, 'the run ended early', (),
                               (type(error), error, error.__traceback__))
    for handler in logger.handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handle(record)
