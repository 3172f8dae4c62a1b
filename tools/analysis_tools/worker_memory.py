"""Measures what a worker of a data loader holds while it reads videos."""
import os
import re
from pathlib import Path

from torch.utils.data import DataLoader, Dataset


class _Readings(Dataset):
    """Reads one video again and again; an item is memory in MiB and open descriptors after it."""

    def __init__(self, path: Path, reads: int) -> None:
        self._path = path
        self._reads = reads

    def __len__(self) -> int:
        return self._reads

    def __getitem__(self, number: int) -> tuple[float, int]:
        from mmengine.dataset import Compose
        if number == 0:
            self._pipeline = Compose([
                dict(type='mmc2v.OpenVideo'), dict(type='mmc2v.SampleGridFrames', num_frames=12),
                dict(type='mmc2v.DecodeFrames'), dict(type='mmc2v.ResizeCenterCrop', size=224),
                dict(type='mmc2v.PackRetrievalInputs')])
        self._pipeline(dict(filename=str(self._path)))
        memory = re.search(r'VmRSS:\s*(\d+)', Path('/proc/self/status').read_text())[1]
        return int(memory) / 1024, len(os.listdir('/proc/self/fd'))


def measure_worker(path: Path, reads: int) -> dict[int, tuple[float, int]]:
    """Read a video in a worker.

    Args:
        path (Path): The video.
        reads (int): How often.

    Returns:
        dict[int, tuple[float, int]]: Memory in MiB and number of open descriptors after a
        twentieth, a quarter, half and all of the reads.
    """
    items = list(DataLoader(_Readings(path, reads), batch_size=None, num_workers=1))
    return {number: items[number - 1] for number in sorted(
        {max(1, reads // part) for part in (20, 4, 2, 1)})}
