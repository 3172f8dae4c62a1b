"""Reads the weights in a TorchScript archive, as OpenAI published CLIP, without its program."""
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmc2v.strict_pickles import StrictUnpickler


class _Module:
    """What stands in the archive for a module: its attributes, by name."""

    def __setstate__(self, attributes: dict[str, Any]) -> None:
        self.attributes = dict(attributes)


def _rebuild_tensor(values: Tensor, offset: int, size: tuple, stride: tuple, *_: Any) -> Tensor:
    """Make a tensor of an array of values, within its bounds."""
    return values.as_strided(size, stride, offset)


class _ArchiveUnpickler(StrictUnpickler):
    """Reads ``data.pkl``, in which arrays are referred to by the names of their files."""

    stand_ins = {
        'torch._utils._rebuild_tensor_v2': _rebuild_tensor,
        'collections.OrderedDict': dict,
        # lists of one type, and values with their type's name
        **{f'torch.jit._pickle.build_{kind}list': list
           for kind in ('int', 'double', 'bool', 'tensor')},
        'torch.jit._pickle.restore_type_tag': lambda value, type_name: value,
        **{f'torch.{kind}Storage': dtype for kind, dtype in (
            ('Half', torch.half), ('BFloat16', torch.bfloat16), ('Float', torch.float),
            ('Double', torch.double), ('Char', torch.int8), ('Byte', torch.uint8),
            ('Short', torch.short), ('Int', torch.int), ('Long', torch.long),
            ('Bool', torch.bool))},
    }

    def __init__(self, archive: zipfile.ZipFile, folder: str) -> None:
        super().__init__(archive.open(f'{folder}/data.pkl'))
        self._archive, self._folder = archive, folder

    def find_class(self, module: str, name: str) -> Any:
        """Take every type of the program for a module."""
        if module.split('.')[0] == '__torch__':
            return _Module
        return super().find_class(module, name)

    def persistent_load(self, reference: tuple) -> Tensor:
        """Read an array; zipfile compares its checksum."""
        _, dtype, key, *_ = reference
        content = bytearray(self._archive.read(f'{self._folder}/data/{key}'))
        return torch.frombuffer(content, dtype=dtype)


def read_torchscript(path: Path) -> dict[str, Tensor]:
    """Read the tensors in a TorchScript archive.

    ``torch.jit.load`` runs the program's ``__setstate__``, which can write files.

    Args:
        path (Path): The archive.

    Returns:
        dict[str, Tensor]: Parameters and buffers, as ``state_dict()`` would name them.

    Raises:
        Exception: Of many types, if it is damaged or something else.
    """
    with zipfile.ZipFile(path) as archive:
        folder = archive.namelist()[0].split('/')[0]
        root = _ArchiveUnpickler(archive, folder).load()
    return dict(_tensors(root, ''))


def _tensors(module: _Module, prefix: str) -> Iterator[tuple[str, Tensor]]:
    for name, value in module.attributes.items():
        if isinstance(value, Tensor):
            yield prefix + name, value
        elif isinstance(value, _Module):
            yield from _tensors(value, f'{prefix}{name}.')
