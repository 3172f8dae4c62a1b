"""What the command lines of all tools share.

Only the standard library is imported here, and tools import the rest after their command line is
parsed, so that ``--help`` and mistakes on the command line are answered at once.
"""
import argparse
import logging
import signal
import sys
import warnings
from collections.abc import Callable
from typing import Any, Optional


class Parser(argparse.ArgumentParser):
    """Shows the description as it is written, and says what is wrong in one line.

    Args:
        description (str): The docstring of the tool.
        **kwargs: Of ``argparse.ArgumentParser``.
    """

    def __init__(self, description: Optional[str], **kwargs) -> None:
        super().__init__(description=description,
                         formatter_class=argparse.RawDescriptionHelpFormatter, **kwargs)

    def error(self, message: str) -> None:
        """End the process as every other mistake of a user does."""
        self.exit(1, f'error: {message} ({self.prog} --help explains the options)\n')


def whole_number(least: int, most: Optional[int] = None) -> Callable[[str], int]:
    """Return a type of arguments: whole numbers from ``least`` to ``most``."""
    expected = f'a whole number from {least}' + (' up' if most is None else f' to {most}')

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least or (most is not None and value > most):
            raise argparse.ArgumentTypeError(f"expected {expected}, got '{text}'")
        return value

    return parse


positive_int = whole_number(1)
non_negative_int = whole_number(0)
seed = whole_number(0, 2 ** 32 - 1)


def non_negative_float(text: str) -> float:
    """Return a number that is not negative."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not value >= 0:  # nor NaN
        raise argparse.ArgumentTypeError(f"expected a number from 0 up, got '{text}'")
    return value


def non_blank(text: str) -> str:
    """Return a text that is not blank."""
    if not text.strip():
        raise argparse.ArgumentTypeError('expected some words, got an empty text')
    return text


def key_value(text: str) -> str:
    """Return a text of the form key=value."""
    key, equals, _ = text.partition('=')
    if not equals or not key.strip():
        raise argparse.ArgumentTypeError(f"expected key=value, got '{text}'")
    return text


def add_cfg_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--cfg-options``, which is kept as text for ``mmc2v.config_reading.read_config``."""
    parser.add_argument('--cfg-options', nargs='+', action='extend', type=key_value, default=[],
                        metavar='KEY=VALUE',
                        help='override the config: nested keys with dots, elements of lists by '
                        'their number, lists as key="[a,b]"')


def runner_parser(description: Optional[str]) -> Parser:
    """Return a parser of what training and testing have in common with MMAction2's scripts."""
    parser = Parser(description)
    parser.add_argument('config', help='config file')
    parser.add_argument('--work-dir', help='folder for logs and results; '
                        'default ./work_dirs/<name of the config>')
    add_cfg_options(parser)
    parser.add_argument('--verbose', action='store_true',
                        help='show on the console what otherwise stands in the log file alone: '
                        'environment, the whole config, hooks')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none',
                        help='who started the processes; default none')
    parser.add_argument('--local_rank', '--local-rank', type=non_negative_int, default=0,
                        help='set by the launcher; default 0')
    return parser


def run(main: Callable[[], Any]) -> Any:
    """Run a tool; what its user did wrong ends it with one line and exit code 1.

    Args:
        main (Callable): The tool.

    Returns:
        Any: What it returns.
    """
    # mmcv-lite says so at each import; nothing of ours uses the operator
    warnings.filterwarnings('ignore', message='Fail to import ``MultiScaleDeformableAttention``')
    logging.raiseExceptions = False  # a log that cannot be written is no second error
    try:
        return main()
    except ImportError:  # of the environment, and maybe of what would be imported below
        raise
    except Exception as error:
        # torch raises in the middle of anything when a worker of a loader ends, as they do now
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        try:
            from mmc2v.user_errors import exit_with_message
        except ImportError:  # not installed, and the tool needs nothing but Python
            if isinstance(error, (ValueError, OSError)):
                sys.exit(f'error: {error}')
            raise error from None
        exit_with_message(error)
        raise
