"""Refuses to train on what is evaluated."""
import inspect
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, Runner
from torch.utils.data import DataLoader

from mmc2v.annotations import match_names, read_video_entries, video_id
from mmc2v.datasets import VideoTextDataset
from mmc2v.registered_types import find_type
from mmc2v.registry import HOOKS

from .epoch_randomness import wrapped_datasets


def _is_video_text(kind: Any) -> bool:
    """Whether a class is a data set with an annotation of captions, MMAction2's included."""
    return inspect.isclass(kind) and issubclass(
        kind, (VideoTextDataset, find_type('mmaction.VideoTextDataset')))


def annotation_files(loader: Any) -> Iterator[str]:
    """Yield the annotations of every data set of videos and captions in a loader or its config.

    Args:
        loader (dict | DataLoader | None): As the runner has it; data sets may be wrapped.
    """
    if isinstance(loader, DataLoader):
        yield from (str(dataset.ann_file) for dataset in wrapped_datasets(loader.dataset)
                    if _is_video_text(type(dataset)))
    elif isinstance(loader, dict):
        if loader.get('ann_file') and _is_video_text(find_type(loader.get('type'))):
            yield str(Path(loader.get('data_root') or '') / loader['ann_file'])
        for value in loader.values():
            yield from annotation_files(value)
    elif isinstance(loader, (list, tuple)):
        for value in loader:
            yield from annotation_files(value)


@HOOKS.register_module()
class SplitOverlapHook(Hook):
    """Compares the video ids of training with those of validation and test before training.

    Ids are names without extension, and without folder unless both annotations give one. Of
    MSR-VTT's 2,990 full test videos 1,990 are in the 9k training list, and nothing else would
    tell.

    Args:
        allow (Sequence[str]): Names of annotation files (``test.json``) that may share videos with
            training. Defaults to none.

    Raises:
        ValueError: At the start of training, with the number of shared ids and examples.
    """

    priority = 'VERY_HIGH'

    def __init__(self, allow: Sequence[str] = ()) -> None:
        self.allow = tuple(allow)

    def before_run(self, runner: Runner) -> None:
        """Compare, before weights are fetched and loaded."""
        if not isinstance(runner._train_loop, BaseLoop):
            return  # it tests
        train = self._names(runner.train_dataloader)
        for kind in ('val', 'test'):
            loader = getattr(runner, f'_{kind}_dataloader', None) \
                or runner.cfg.get(f'{kind}_dataloader')
            for path, names in self._names(loader).items():
                if Path(path).name in self.allow:
                    continue
                for train_path, train_names in train.items():
                    shared = sorted(map(video_id, match_names(names, train_names)))
                    if shared:
                        raise ValueError(
                            f"{len(shared)} of the {len(names)} videos of '{path}' ({kind}) are in "
                            f"the training annotation '{train_path}' as well: {shared[:5]}. Train "
                            'on a list without them, or, if that is wanted, name the annotation '
                            "in custom_hooks: dict(type='mmc2v.SplitOverlapHook', "
                            f"allow=['{Path(path).name}'])")

    @staticmethod
    def _names(loader: Any) -> dict[str, list[str]]:
        # an absent test annotation is no matter of training
        return {path: list(read_video_entries(path))
                for path in annotation_files(loader) if Path(path).is_file()}
