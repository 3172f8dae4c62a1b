"""Videos and their captions."""
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Optional

import numpy as np
import torch
from mmengine.dataset import BaseDataset

from mmc2v.annotations import check_captions, read_json_object
from mmc2v.registry import DATASETS

from .transforms import VideoDecodeError


@contextmanager
def global_randomness(rng: np.random.Generator) -> Iterator[None]:
    """Seed the global generators that stock transforms draw from, and restore them afterwards."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    seed = int(rng.integers(2 ** 32))
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)  # of the CPU alone
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


@DATASETS.register_module()
class VideoTextDataset(BaseDataset):
    """Videos and captions in the annotation format of MMAction2's VideoTextDataset.

    ``{"video0.mp4": ["a caption", ...], ...}``. In training an item is one caption with its video.
    With ``test_mode=True`` an item is one video with all its captions, so that each video is
    decoded once.

    A video that cannot be decoded is replaced in training by another item, whose data sample
    carries ``replaces``, a list of (path, reason); in test mode it raises. Random choices are
    drawn from (seed, epoch, index) alone, so they do not depend on workers or on resuming.

    Args:
        ann_file (str): Annotation file, relative to ``data_root``.
        group_file (str, optional): JSON ``{"video0.mp4": "group", ...}``: videos of one group
            count as the same to :class:`DistinctGroupBatchSampler` and to the metric's
            ``group_name``. Defaults to none.
        missing_hint (str): Added to the error when annotation or videos are missing. Defaults to
            nothing.
        max_refetch (int): How many videos in a row may fail in training. Defaults to 100.
        **kwargs: ``data_root``, ``data_prefix=dict(video=...)``, ``pipeline``, ``test_mode``,
            ``indices`` and the rest of :class:`mmengine.dataset.BaseDataset`.

    Raises:
        FileNotFoundError: If the annotation or a video is missing.
        ValueError: If the annotation is empty or an entry is wrong; the entry is named.
    """

    def __init__(self, ann_file: str, group_file: Optional[str] = None, missing_hint: str = '',
                 max_refetch: int = 100, data_prefix: Optional[dict] = None, **kwargs) -> None:
        self.group_file = group_file
        self.missing_hint = missing_hint
        # In shared memory, because persistent workers hold a copy of this object.
        self._epoch_and_seed = torch.zeros(2, dtype=torch.int64).share_memory_()
        super().__init__(ann_file=ann_file, max_refetch=max_refetch,
                         data_prefix=data_prefix or dict(video=''), **kwargs)

    def set_epoch(self, epoch: int, seed: int) -> None:
        """Choose the random numbers of an epoch; call it before the loader is iterated.

        Args:
            epoch (int): Epoch from 0.
            seed (int): Seed of the run, not negative.
        """
        self._epoch_and_seed[0], self._epoch_and_seed[1] = epoch, seed

    def load_data_list(self) -> list[dict]:
        """Read and check the annotation; see the class for what is raised."""
        annotation = read_json_object(self.ann_file, self.missing_hint)
        if not annotation:
            raise ValueError(f"annotation file '{self.ann_file}' holds no video")
        folder = Path(self.data_prefix['video'])
        videos = [dict(video_id=name, filename=str(folder / name),
                       captions=check_captions(self.ann_file, name, captions))
                  for name, captions in annotation.items()]
        self._check_files(videos)
        self._add_groups(videos)
        if self.test_mode:
            return videos
        return [dict(video, captions=[caption]) for video in videos
                for caption in video['captions']]

    def _check_files(self, videos: list[dict]) -> None:
        missing = [video['filename'] for video in videos if not Path(video['filename']).is_file()]
        if missing:
            raise FileNotFoundError(
                f"{len(missing)} of {len(videos)} videos of '{self.ann_file}' do not exist: "
                f'{missing[:3]}. {self.missing_hint}'.strip())

    def _add_groups(self, videos: list[dict]) -> None:
        if self.group_file is None:
            return
        path = str(Path(self.data_root or '') / self.group_file)
        groups = read_json_object(path)
        for video in videos:
            group = groups.get(video['video_id'])
            if not isinstance(group, str):
                raise ValueError(f"'{path}': video '{video['video_id']}' must have a group that "
                                 f'is a string, got {group!r}')
            video['group'] = group

    def __getitem__(self, idx: int) -> dict:
        """Return a packed item; see the class for undecodable videos."""
        if not self._fully_initialized:
            self.full_init()
        if self.test_mode:
            return self.pipeline(self.get_data_info(idx))
        epoch, seed = self._epoch_and_seed.tolist()
        replaces: list[tuple] = []
        rng = np.random.default_rng((seed, epoch, idx))
        for _ in range(self.max_refetch + 1):
            info = dict(self.get_data_info(idx), rng=rng, replaces=replaces)
            try:
                with global_randomness(rng):
                    return self.pipeline(info)
            except VideoDecodeError as error:
                replaces.append((error.path, error.reason))
                idx = int(rng.integers(len(self)))
        raise VideoDecodeError(*replaces[0]) from RuntimeError(
            f'{len(replaces)} videos in a row could not be decoded: {replaces[:5]}')
