from mmengine.config import Config

import mmc2v  # noqa: F401  (mends the environment before open_clip is imported)

# Here every run has a config of its own, and yapf takes up to a second to lay it out.
Config._format_python_code = property(lambda self: False, lambda self, value: None)
