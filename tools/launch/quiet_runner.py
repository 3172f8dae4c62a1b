"""A runner whose console shows what a person reads; everything is in the log file."""
import logging
import re

from mmengine.logging import MMLogger
from mmengine.runner import Runner

# How messages begin that are for the log file: dumps, and what is not the user's business.
FILE_ONLY = re.compile(
    r'\n-+\nSystem environment:'
    r'|Config:\n'
    r'|Hooks will be executed in the following order:'
    r'|Distributed training is not used, all SyncBatchNorm'
    r'|Exp name: '
    r'|paramwise_options -- |\d+ parameters: lr='
    r'|"FileClient" will be deprecated|"HardDiskBackend" is the alias')


def is_for_console(record: logging.LogRecord) -> bool:
    """Whether a message is shown; a filter of logging."""
    return not FILE_ONLY.match(record.getMessage())


class QuietRunner(Runner):
    """MMEngine's runner, which leaves its dumps to the log file."""

    def build_logger(self, *args, **kwargs) -> MMLogger:
        """Build the logger as MMEngine does, and filter what it shows."""
        logger = super().build_logger(*args, **kwargs)
        for handler in logger.handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.addFilter(is_for_console)
        return logger
