"""What ``import mmc2v`` does for MMEngine, once: importing this module does it."""
from . import compat

compat.apply()  # before the first registry lookup, which imports the packages that it mends

from . import checkpoint_schemes, log_buffers, registry  # noqa: E402

log_buffers.allow_history_buffer()

__all__ = ['checkpoint_schemes', 'compat', 'log_buffers', 'registry']
