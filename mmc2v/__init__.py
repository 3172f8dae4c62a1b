"""CLIP2Video (arXiv 2106.11097) video-text retrieval as a plugin of MMAction2.

``import mmc2v`` mends what released packages have broken (see :mod:`mmc2v.compat`), lets MMEngine
read checkpoints (:mod:`mmc2v.log_buffers`) without running what is in them
(:mod:`mmc2v.checkpoint_schemes`), and adds the scope ``mmc2v`` to MMEngine's registries, so that
configs can say ``type='mmc2v.CLIP2Video'``.
"""
from . import compat

compat.apply()  # before the first registry lookup, which imports the packages that it mends

from . import checkpoint_schemes, log_buffers, registry  # noqa: E402
from .version import __version__  # noqa: E402

log_buffers.allow_history_buffer()

__all__ = ['__version__', 'checkpoint_schemes', 'compat', 'log_buffers', 'registry']
