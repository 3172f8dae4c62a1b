"""What FFmpeg logs as errors and returns nowhere."""
from collections.abc import Iterator
from contextlib import contextmanager

import av

# What a decoder (dnxhd) says of the first such frame of a process alone, so that what became of a
# file would depend on those read before it.
_SAID_ONCE = 'ACT flag set'


@contextmanager
def complaints_of(*names: str) -> Iterator[list[str]]:
    """Collect what parts of FFmpeg log as errors in this thread; complete when it ends.

    A demuxer goes on behind what it cannot read, and a decoder conceals a missing reference: such
    faults show nowhere else.

    Args:
        *names (str): Of codecs or formats, as FFmpeg calls them.

    Yields:
        list[str]: What they say.
    """
    level, skip = av.logging.get_level(), av.logging.get_skip_repeated()
    av.logging.set_level(av.logging.ERROR)
    av.logging.set_skip_repeated(False)
    messages: list[str] = []
    try:
        with av.logging.Capture() as logs:
            yield messages
        messages += [text.strip() for _, speaker, text in logs
                     if speaker in names and not text.startswith(_SAID_ONCE)]
    finally:
        av.logging.set_level(level)
        av.logging.set_skip_repeated(skip)
