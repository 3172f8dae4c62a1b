"""Reads pickles in which known names alone may occur: nothing else in them is looked up or run."""
import pickle
from collections.abc import Container, Mapping
from typing import Any


class StrictUnpickler(pickle._Unpickler):
    """An unpickler that refuses every name that its subclass does not list.

    Whatever a pickle calls it has to name first, so that harmless names make a harmless pickle.
    Names are full ones; those of builtins are Python 3's. It is Python's own unpickler in Python,
    because a few bytes can let that in C take all of the memory for a table of what was read:
    https://github.com/python/cpython/issues/115952
    """

    allowed: Container[str] = ()  # what may be looked up
    stand_ins: Mapping[str, Any] = {}  # what is taken instead of looking up

    def find_class(self, module: str, name: str) -> Any:
        """Look a name up.

        Raises:
            UnpicklingError: If it is not listed.
        """
        full_name = f'{"builtins" if module == "__builtin__" else module}.{name}'
        if full_name in self.stand_ins:
            return self.stand_ins[full_name]
        if full_name in self.allowed:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f'it refers to {full_name}, which is no part of such a file; '
                                     'nothing of it was run')
