"""Videos and their captions."""
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Optional

import numpy as np
import torch
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from mmc2v.annotations import read_annotation, read_video_entries
from mmc2v.registry import DATASETS
from mmc2v.video import VideoDecodeError

from .conversion_report import read_counts
from .frame_cache import check_cache
from .randomness import global_randomness


@DATASETS.register_module()
class VideoTextDataset(BaseDataset):
    """Videos and captions in the annotation format of MMAction2's VideoTextDataset.

    ``{"video0.mp4": ["a caption", ...], ...}``, names being relative to ``data_prefix['video']``
    and within it: ``./video0.mp4`` is ``video0.mp4``, ``../video0.mp4`` is refused. In training an
    item is one caption with its video. With ``test_mode=True`` an item is one video with all its
    captions, so that each video is decoded once.

    A video that cannot be decoded is replaced in training by another item, whose data sample
    carries ``replaces``, a list of (path, reason); in test mode it raises. Random choices are
    drawn from (seed, epoch, index) alone, so they do not depend on workers or on resuming.

    Args:
        ann_file (str): Annotation file, relative to ``data_root``.
        group_file (str, optional): JSON ``{"video0.mp4": "group", ...}``: videos of one group
            count as the same to :class:`DistinctGroupBatchSampler` and to the metric's
            ``group_name``. Defaults to none.
        kind_file (str, optional): JSON ``{"video0.mp4": "kind", ...}``: kinds of captions, which
            the metric's ``by_kind`` reports one by one. Defaults to none.
        rival_file (str, optional): JSON ``{"video0.mp4": "name", ...}``: groups of one name are
            each other's hard negatives, which :class:`DistinctGroupBatchSampler` may put into one
            batch. Defaults to none.
        missing_hint (str): Added to the error when annotation or videos are missing. Defaults to
            nothing.
        max_refetch (int): How many videos in a row may fail in training. Defaults to 100.
        exclude_file (str, optional): JSON object whose keys are videos to leave out of training,
            such as a converter's ``undecodable.json``. Defaults to none.
        undecodable_as_miss (bool): In test mode go on where a video cannot be decoded; its data
            sample carries ``undecodable``, and the metric counts it as not found, so that the
            set stays whole. Defaults to False: an error.
        **kwargs: ``data_root``, ``data_prefix=dict(video=...)``, ``pipeline``, ``test_mode``,
            ``indices`` and the rest of :class:`mmengine.dataset.BaseDataset`.

    Attributes:
        num_videos (int): Videos of the annotation that are not excluded.
        num_captions (int): Their captions.

    Where the annotation lies beside the ``report.json`` of a converter, ``metainfo`` says how many
    videos the protocol lists and how many of them are missing. A ``report.json`` of something
    else is passed over with a warning.

    Raises:
        FileNotFoundError: If the annotation or a video is missing.
        ValueError: If the annotation is empty or an entry is wrong; the entry is named. If a name
            leads out of the folder of the videos, or two names are of one video. If
            ``exclude_file`` is given in test mode. If the videos are a frame cache that does not
            fit the pipeline.
    """

    def __init__(self, ann_file: str, group_file: Optional[str] = None,
                 kind_file: Optional[str] = None, rival_file: Optional[str] = None,
                 missing_hint: str = '', max_refetch: int = 100,
                 exclude_file: Optional[str] = None, undecodable_as_miss: bool = False,
                 data_prefix: Optional[dict] = None, **kwargs) -> None:
        if exclude_file is not None and kwargs.get('test_mode', False):
            raise ValueError(f"exclude_file='{exclude_file}' is for training: a test set without "
                             'some of its videos is another test set. Use undecodable_as_miss=True')
        self.label_files = {key: name for key, name in (
            ('group', group_file), ('kind', kind_file), ('rivals', rival_file)) if name is not None}
        self.exclude_file = exclude_file
        self.undecodable_as_miss = undecodable_as_miss
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
        annotation = read_annotation(self.ann_file, self.missing_hint)
        self._read_report(len(annotation))
        annotation = self._without_excluded(annotation)
        folder = Path(self.data_prefix['video'])
        files = self._files_of(folder, annotation)
        videos = [dict(video_id=name, filename=str(files[name]), captions=captions)
                  for name, captions in annotation.items()]
        self.num_videos = len(videos)
        self.num_captions = sum(len(video['captions']) for video in videos)
        self._check_files(videos)
        check_cache(folder, self.pipeline.transforms)
        for key, name in self.label_files.items():
            self._add_labels(videos, key, str(Path(self.data_root or '') / name))
        if self.test_mode:
            return videos
        return [dict(video, captions=[caption]) for video in videos
                for caption in video['captions']]

    @staticmethod
    def _files_of(folder: Path, names: Iterable[str]) -> dict[str, Path]:
        """Return the file of each video of the annotation."""
        return {name: folder / name for name in names}

    def _read_report(self, num_videos: int) -> None:
        """Take over what the converter counted, where its report is about this annotation."""
        if not self.test_mode:
            return  # training sets may be concatenated, which asks for equal meta information
        path = Path(self.ann_file)
        self._metainfo['ann_file'] = path.name
        if not path.with_name('report.json').is_file():
            return
        try:
            counts = read_counts(path.with_name('report.json'), path.stem, num_videos)
            self._metainfo.update(counts)
        except ValueError as error:
            print_log(f'{error}: how many videos are missing is not known', logger='current',
                      level=logging.WARNING)

    def _without_excluded(self, annotation: dict) -> dict:
        if self.exclude_file is None:
            return annotation
        excluded = read_video_entries(str(Path(self.data_root or '') / self.exclude_file))
        kept = {name: captions for name, captions in annotation.items() if name not in excluded}
        if not kept:
            raise ValueError(f"'{self.exclude_file}' excludes every video of '{self.ann_file}'")
        print_log(f"{len(annotation) - len(kept)} of {len(annotation)} videos of "
                  f"'{self.ann_file}' are excluded by '{self.exclude_file}'", logger='current')
        return kept

    def _check_files(self, videos: list[dict]) -> None:
        missing = [video['filename'] for video in videos if not Path(video['filename']).is_file()]
        if missing:
            raise FileNotFoundError(
                f"{len(missing)} of {len(videos)} videos of '{self.ann_file}' do not exist: "
                f'{missing[:3]}. {self.missing_hint}'.strip())

    @staticmethod
    def _add_labels(videos: list[dict], key: str, path: str) -> None:
        labels = read_video_entries(path)
        for video in videos:
            label = labels.get(video['video_id'])
            if not isinstance(label, str):
                raise ValueError(f"'{path}': video '{video['video_id']}' must have a {key} that "
                                 f'is a string, got {label!r}')
            video[key] = label

    def __getitem__(self, idx: int) -> dict:
        """Return a packed item; see the class for undecodable videos."""
        if not self._fully_initialized:
            self.full_init()
        if self.test_mode:
            return self._test_item(idx)
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

    def _test_item(self, idx: int) -> dict:
        info = self.get_data_info(idx)
        try:
            return self.pipeline(dict(info))
        except VideoDecodeError as error:
            if not self.undecodable_as_miss:
                raise VideoDecodeError(error.path, f'{error.reason}. In evaluation no video is '
                                       'left out; undecodable_as_miss=True of the data set counts '
                                       'it as not found') from error
            return self._blank_item(idx, info, error.reason or 'undecodable')

    def _blank_item(self, idx: int, info: dict, reason: str) -> dict:
        """Make an item of a video that cannot be decoded, with captions and zeros for frames.

        The next one that can be decoded lends the shape of its frames, which the pipeline alone
        knows.
        """
        for other in (*range(idx + 1, len(self)), *range(idx)):
            filename = self.get_data_info(other)['filename']
            try:
                item = self.pipeline(dict(info, filename=filename, undecodable=reason))
            except VideoDecodeError:
                continue
            item['inputs']['frames'].zero_()
            item['data_samples'].set_metainfo(dict(filename=info['filename']))
            return item
        raise VideoDecodeError(info['filename'], f'{reason}; nor can any other video of the set')
