"""Models as public benchmarks take them."""
try:
    import mteb  # noqa: F401
except ImportError as error:
    raise ImportError("the tasks of MTEB need its package: pip install 'mmc2v[mteb]'") from error

from .mteb_encoder import MTEBEncoder, require_separate_modalities
from .mteb_meta import STATED, not_stated

__all__ = ['STATED', 'MTEBEncoder', 'not_stated', 'require_separate_modalities']
