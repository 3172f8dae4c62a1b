"""Random choices of an item that depend on its seed alone."""
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def global_randomness(rng: np.random.Generator) -> Iterator[None]:
    """Seed the global generators that stock transforms draw from, and restore them afterwards."""
    states = random.getstate(), np.random.get_state()
    seed = int(rng.integers(2 ** 32))
    with torch.random.fork_rng(devices=[]):  # the CPU's alone
        random.seed(seed)
        np.random.seed(seed)
        torch.default_generator.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])
