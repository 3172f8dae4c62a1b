"""Refuses to train on what is evaluated."""
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmc2v.annotations import match_names, read_video_entries, video_id
from mmc2v.registry import HOOKS


def annotation_files(loader: Any) -> Iterator[str]:
    """Yield the annotations of every VideoTextDataset in a loader or its config.

    Args:
        loader (dict | DataLoader | None): As the runner has it; data sets may be wrapped.
    """
    if isinstance(loader, DataLoader):
        loader = loader.dataset
    if isinstance(loader, dict):
        if str(loader.get('type')).endswith('VideoTextDataset') and loader.get('ann_file'):
            yield str(Path(loader.get('data_root') or '') / loader['ann_file'])
        for value in loader.values():
            yield from annotation_files(value)
    elif isinstance(loader, (list, tuple)):
        for value in loader:
            yield from annotation_files(value)
    elif loader is not None:
        if type(loader).__name__ == 'VideoTextDataset':
            yield str(loader.ann_file)
        yield from annotation_files(getattr(loader, 'dataset', None))
        yield from annotation_files(getattr(loader, 'datasets', None))


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

    def before_train(self, runner: Runner) -> None:
        """Compare."""
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
