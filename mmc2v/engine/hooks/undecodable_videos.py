"""Reports videos that cannot be decoded."""
from typing import Optional

from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmc2v.registry import HOOKS


@HOOKS.register_module()
class UndecodableVideosHook(Hook):
    """Reports undecodable training videos, and stops all ranks where there are too many.

    Videos of which frames were filled are reported as well and do not count as undecodable.

    Args:
        max_share (float): Largest share of distinct seen videos that may be undecodable, in
            [0, 1]. Defaults to 0.05.
        min_seen (int): Distinct videos that must have been seen before the share counts.
            Defaults to 100.
        interval (int): Iterations between exchanges among ranks; every epoch ends with one.
            Defaults to 20.
    """

    def __init__(self, max_share: float = 0.05, min_seen: int = 100, interval: int = 20) -> None:
        if not 0 <= max_share <= 1:
            raise ValueError(f'max_share must lie in [0, 1], got {max_share}')
        self.max_share = max_share
        self.min_seen = min_seen
        self.interval = interval
        self._seen: set[str] = set()
        self._bad: dict[str, str] = {}
        self._new_seen: set[str] = set()
        self._new_bad: dict[str, str] = {}
        self._damaged: dict[str, str] = {}
        self._new_damaged: dict[str, str] = {}

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Optional[dict] = None,
                         outputs: Optional[dict] = None) -> None:
        """Note what the batch's samples say."""
        # batches of other data sets have none, nor have those of MMAction2's vis_scheduler.py
        samples = data_batch.get('data_samples', ()) if isinstance(data_batch, dict) else ()
        for sample in samples:
            if 'filename' in sample:  # not so in data sets of others
                self._new_seen.add(sample.filename)
                if 'damage' in sample:
                    self._new_damaged[sample.filename] = sample.damage
            for path, reason in sample.metainfo.get('replaces', []):
                self._new_seen.add(path)
                self._new_bad[path] = reason
        if self.every_n_inner_iters(batch_idx, self.interval):
            self._exchange(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Exchange what is left."""
        self._exchange(runner)

    def _exchange(self, runner: Runner) -> None:
        """Share news among ranks; every rank then knows the same and decides the same."""
        gathered = all_gather_object((self._new_seen, self._new_bad, self._new_damaged))
        self._new_seen, self._new_bad, self._new_damaged = set(), {}, {}
        for seen, bad, damaged in gathered:
            self._seen |= seen
            for what, new, known in (
                    ('damaged video', damaged, self._damaged),
                    ('undecodable video, replaced by another', bad, self._bad)):
                for path in sorted(new.keys() - known.keys()):
                    known[path] = new[path]
                    runner.logger.warning(f'{what}: {path}: {new[path]}')
        share = len(self._bad) / max(1, len(self._seen))
        if len(self._seen) >= self.min_seen and share > self.max_share:
            raise ValueError(self._summary(share))

    def _summary(self, share: float) -> str:
        lines: list[str] = [f'  {path}: {reason}' for path, reason in sorted(self._bad.items())]
        return (f'{len(self._bad)} of {len(self._seen)} videos seen ({share:.1%}) cannot be '
                f'decoded, more than max_share={self.max_share:.1%}. Fetch them again, take them '
                'out of the annotation, or raise max_share:\n' + '\n'.join(lines))
