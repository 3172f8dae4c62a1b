"""The one reader of checkpoints and weight files, which runs nothing of what is in them."""
import codecs
import os
import re
import tarfile
import zipfile
from pathlib import Path
from typing import Any, Union

import torch

from mmc2v import log_buffers
from mmc2v.first_line import first_line_of
from mmc2v.strict_pickles import StrictUnpickler

_ARCHIVE = b'PK\x03\x04'  # how a zip archive begins, and so what torch.save writes
# How torch's and our unpicklers name what they refuse.
_REFUSED = re.compile(r'(?:GLOBAL|refers to|unsupported class|unrecognized function) ([^\s,]+)')


class _StrictPickle:
    """Stands in for the module pickle where torch's own weights_only does not serve."""

    class Unpickler(StrictUnpickler):
        """Knows what torch's own weights_only knows, and MMEngine's log buffers."""

        def __init__(self, *args, **kwargs) -> None:
            super().__init__(*args, **kwargs)
            from torch._weights_only_unpickler import _get_allowed_globals
            self.stand_ins = {**_get_allowed_globals(), **log_buffers.harmless_globals(),
                              '_codecs.encode': codecs.encode}  # how bytes are written

    @classmethod
    def load(cls, file: Any, **kwargs) -> Any:
        """Read one pickle."""
        return cls.Unpickler(file, **kwargs).load()


def read_checkpoint_file(path: Union[str, Path], map_location: Any = None,
                         mmap: bool = False) -> Any:
    """Read what ``torch.save`` wrote: tensors, plain values and MMEngine's log buffers.

    Whatever the defaults of torch, of MMEngine and of the environment are, nothing in the file is
    run, and no option changes that. The checksums of an archive are compared.

    Args:
        path (str | Path): The file.
        map_location (Any): As ``torch.load`` has it.
        mmap (bool): Whether tensors are left on the disk until they are used, where the format
            allows that. Defaults to False.

    Returns:
        Any: Its content.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, holds anything else, or is none.
    """
    path = os.path.expanduser(path)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"the checkpoint '{path}' does not exist")
    archive = is_archive(path)
    if archive:
        _refuse_damaged(path)
    strict: dict[str, Any] = dict(weights_only=True)
    if not log_buffers.weights_only_serves():
        strict = dict(weights_only=False, pickle_module=_StrictPickle)
    try:
        _refuse_other_formats(path, archive)
        # torch.load is what programs replace in order to change its defaults
        return torch.serialization.load(path, map_location, mmap=mmap and archive, **strict)
    except Exception as error:  # whatever the file consists of
        # torch puts advice before it that would run the file
        text = str(error).split('WeightsUnpickler error:')[-1].strip() or type(error).__name__
        refused = _REFUSED.search(text)
        raise ValueError(f"'{path}' " + (
            f'holds {refused[1]}, and only weights and plain values are read; nothing of it was '
            'run. Whoever made it can save it again by torch.save(model.state_dict(), FILE)'
            if refused else f'cannot be read as a checkpoint: {first_line_of(text)}')) from error


def is_archive(path: Union[str, Path]) -> bool:
    """Say whether torch takes a file for a zip archive, which it does by its first bytes."""
    with open(path, 'rb') as file:
        return file.read(len(_ARCHIVE)) == _ARCHIVE


def _refuse_damaged(path: str) -> None:
    """Compare the checksums in an archive, which torch writes and does not compare."""
    try:
        with zipfile.ZipFile(path) as archive:
            part = archive.testzip()
        damage = part and f'the checksum of its part {part} differs'
    except Exception as error:  # whatever the file consists of
        damage = first_line_of(error)
    if damage:
        raise ValueError(f"'{path}' is damaged: {damage}. Copy or fetch it again")


def _refuse_other_formats(path: str, archive: bool) -> None:
    """Refuse what torch may read in ways that write files."""
    if archive:
        if 'constants.pkl' in torch._C.PyTorchFileReader(path).get_all_records():
            raise ValueError('it is a TorchScript program, which is not run. Whoever made it can '
                             'save its state_dict() by torch.save')
    elif tarfile.is_tarfile(path):
        raise ValueError('it is a tar archive, as torch wrote before 0.4. Whoever made it can '
                         'save it again by a newer torch')
