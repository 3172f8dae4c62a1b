import mmc2v  # noqa: F401  (mends the environment before open_clip is imported)
