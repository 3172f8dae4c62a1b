"""CLIP2Video (arXiv 2106.11097) video-text retrieval as a plugin of MMAction2.

``import mmc2v`` mends what released packages have broken (see :mod:`mmc2v.compat`), lets MMEngine
read checkpoints (:mod:`mmc2v.log_buffers`) without running what is in them
(:mod:`mmc2v.checkpoint_schemes`), and adds the scope ``mmc2v`` to MMEngine's registries, so that
configs can say ``type='mmc2v.CLIP2Video'``.

``python -m mmc2v.search query`` puts that off until it needs it (:mod:`mmc2v.activation`): a
sentence that an exported model answers needs neither MMEngine nor torch, whose import takes
seconds.
"""
import sys
from pathlib import Path

from .version import __version__


def _is_question() -> bool:
    """Whether this process is the command that asks an index, or says what is in it."""
    words = sys.orig_argv
    if '-m' in words[:-1]:
        words = words[words.index('-m') + 1:]
        if words[0] == 'mmc2v':
            words = ['mmc2v.search', *words[2:]] if words[1:2] == ['search'] else words
        is_search = words[0] == 'mmc2v.search'
    else:
        words = sys.argv
        script = Path(words[0]) if words else Path()
        is_search = script.name == 'search.py' and script.parent.name == 'tools'
    return is_search and words[1:2] in (['query'], ['info'])


if not _is_question():
    from . import activation  # noqa: F401

__all__ = ['__version__']
