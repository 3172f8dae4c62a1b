import mmengine.config.config

import mmc2v  # noqa: F401  (mends the environment before open_clip is imported)

# Here every run has a config of its own, and yapf takes up to a second to lay it out.
mmengine.config.config.FormatCode = lambda text, **_: (text, False)
