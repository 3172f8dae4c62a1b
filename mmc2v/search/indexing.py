"""Bringing an index up to date with folders of videos."""
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from torch import nn

from .encoder import ClipEncoder
from .frames import Clips, Damage, Part
from .ranks import Ranks
from .records import Content, Stat
from .report import Report
from .scan import Changes, find_changes, stat_of
from .workers import Failed, VideoWorkers

# Seconds within which a file was changed that may still be being written, and between two looks.
_RECENT, _BETWEEN_LOOKS = 3.0, 1.0
_MOST_TIMES = 3  # that a run reads a file which stays as it is


@dataclass
class _File:
    """A file that is being read.

    Attributes:
        stat (Stat): When it was found.
        digest (bytes): Of what is in it.
        clips (Clips, optional): What is encoded of it.
        encoder (ClipEncoder, optional): Of those.
        others (list[tuple[str, Stat]]): Further files of the same content, which wait for it.
    """

    stat: Stat
    digest: bytes = b''
    clips: Optional[Clips] = None
    encoder: Optional[ClipEncoder] = None
    others: list[tuple[str, Stat]] = field(default_factory=list)


class Indexer:
    """Reads what is new by workers, encodes it here, and writes each file in one transaction.

    Args:
        store (IndexStore | MilvusStore): For writing.
        model (nn.Module): In evaluation mode.
        num_frames (int): T, frames that the model takes.
        workers (VideoWorkers): Processes that read videos.
        watch (Callable, optional): Called with (finished file or None, its bytes, the report so
            far, and how many bytes there are to read).
        ranks (Ranks, optional): Those that index together; each reads its part of the files.
        hasten (Callable, optional): Called with the bytes that are to be read, before the first of
            them are; may change the model's tower, and says what it found.
    """

    def __init__(self, store: Any, model: nn.Module, num_frames: int, workers: VideoWorkers,
                 watch: Optional[Callable] = None, ranks: Optional[Ranks] = None,
                 hasten: Callable[[int], str] = lambda size: '') -> None:
        self._store, self._model, self._num_frames = store, model, num_frames
        self._workers, self._ranks = workers, ranks or Ranks()
        self._watch = watch or (lambda *args: None)
        self._hasten = hasten
        self._reading: dict[str, _File] = {}
        self._by_digest: dict[bytes, str] = {}
        self._report = Report()
        self._tried: Counter = Counter()  # how often a file was read, by path and stat
        self._mends = False  # whether what the store has lost is being read again

    def run(self, roots: Sequence[str]) -> Report:
        """Index what has changed, also what appears meanwhile; then forget what has gone.

        Args:
            roots (Sequence[str]): Absolute paths of folders or files.

        Returns:
            Report: What was done; at the first of several processes by all of them.
        """
        start = time.monotonic()
        self._report, self._tried, self._mends = Report(), Counter(), False
        changes = self._read_due(roots)
        self._report.closed = changes.closed
        reports = self._ranks.gathered(self._report)  # when all have read what is theirs
        if self._ranks.is_first:
            self._report = Report.merged(reports)
            while self._store.settle():
                self._mends = True  # what was lost is read here, whosever it was
                changes = self._read_due(roots)
            if changes.gone:  # at the end, so that what has moved is found by its content before
                self._store.remove(changes.gone)
            self._store.finish()
            self._report.counts['removed'] = len(changes.gone)
        self._ranks.wait()
        self._report.seconds = time.monotonic() - start
        return self._report

    def _read_due(self, roots: Sequence[str]) -> Changes:
        """Read files until none of this process is new, or what was lost is there again.

        Returns:
            Changes: What there was in the end.
        """
        while True:
            changes = find_changes(roots, self._store.files())
            if not self._tried and not self._mends:
                if self._ranks.is_first:
                    self._report.counts['same'] = changes.same
                self._ranks.wait()  # what others write from here on is not as it was
            new = {path: stat for path, stat in changes.new.items()
                   if (self._mends or self._ranks.takes(path)) and self._is_due(path, stat)}
            if not new:
                return changes
            self._tried.update(new.items())
            self._read(new)

    def _is_due(self, path: str, stat: Stat) -> bool:
        """Whether a file is read that the index does not have like this.

        One that was read already is missing where the server of the index has lost it.
        """
        times = self._tried[path, stat]
        if path in self._report.unreadable and (times or self._mends):
            return False
        return path not in self._report.growing and times < _MOST_TIMES

    def _read(self, new: Mapping[str, Stat]) -> None:
        """Read files; those that may still be being written come last."""
        now = time.time()
        recent = {path for path, stat in new.items() if now - stat.mtime / 1e9 < _RECENT}
        todo = deque(sorted(new, key=lambda path: path in recent))
        looked, total = time.monotonic(), sum(stat.size for stat in new.values())
        if not self._report.encoded_by:
            self._report.encoded_by = self._hasten(total)
        while todo or self._workers.busy:
            while todo and self._workers.idle:
                path = todo.popleft()
                if path in recent:
                    time.sleep(max(0.0, looked + _BETWEEN_LOOKS - time.monotonic()))
                if self._has_changed(path, new[path]):
                    self._end(path, new[path], 'growing', total)
                else:
                    self._reading[path] = _File(new[path])
                    self._workers.begin(path, new[path].size)
            for path, message in self._workers.messages() if self._workers.busy else ():
                kind = self._take(path, message)
                if kind:
                    file = self._reading.pop(path)
                    self._by_digest.pop(file.digest, None)
                    self._end(path, file.stat, kind, total)

    def _has_changed(self, path: str, stat: Stat) -> bool:
        try:
            return stat_of(path) != stat
        except OSError:
            return True

    def _end(self, path: str, stat: Stat, kind: str, total: int) -> None:
        is_again = kind in ('indexed', 'known') and (
            self._mends or self._tried[path, stat] > 1)
        self._report.counts['again' if is_again else kind] += 1
        if kind == 'growing':
            self._report.growing.append(path)
        self._watch(path, stat.size, self._report, total)

    def _take(self, path: str, message: Any) -> str:
        """Take what a worker says; return what became of the file if that was the end."""
        file = self._reading[path]
        if isinstance(message, bytes):
            return self._take_digest(path, file, message)
        if isinstance(message, Clips):
            file.clips = message
            file.encoder = ClipEncoder(self._model, message.frames, self._num_frames)
        elif isinstance(message, Part):
            file.encoder.add(message.numbers, message.images)
        elif message is None:  # what came of it before does not count
            file.encoder = ClipEncoder(self._model, file.clips.frames, self._num_frames)
        elif isinstance(message, Failed):
            return self._refuse(path, file, message)
        elif isinstance(message, Damage):
            return self._add(path, file, message.text)
        return ''

    def _take_digest(self, path: str, file: _File, digest: bytes) -> str:
        """Decide whether a file is decoded, once what is in it is known."""
        content = self._store.content_of(digest)
        if self._has_changed(path, file.stat):
            self._workers.decide(path, False)
            return 'growing'
        if content is not None:
            self._workers.decide(path, False)
            self._store.link(path, file.stat, content)
            return 'known'
        if digest in self._by_digest:
            self._workers.decide(path, False)
            self._reading[self._by_digest[digest]].others.append((path, file.stat))
            return 'known'
        file.digest = digest
        self._by_digest[digest] = path
        self._workers.decide(path, True)
        return ''

    def _add(self, path: str, file: _File, damage: Optional[str]) -> str:
        """Put a file that was read as a whole into the index."""
        try:
            vectors = file.encoder.finish()
        except ValueError as error:
            return self._refuse(path, file, Failed(str(error)))
        if self._has_changed(path, file.stat):
            self._report.growing += [other for other, _ in file.others]
            return 'growing'
        self._store.add(path, file.stat, Content(file.digest, file.clips.duration,
                                                 file.clips.spans, vectors, damage))
        content = self._store.content_of(file.digest)
        for other, stat in file.others:
            self._store.link(other, stat, content)
        if damage:
            self._report.damaged[path] = damage
        self._report.seconds_of_video += file.clips.duration
        return 'indexed'

    def _refuse(self, path: str, file: _File, failed: Failed) -> str:
        """List a file, and those of the same content, with the reason."""
        for name, stat in [(path, file.stat), *file.others]:
            # what may pass is tried again by the next run, as if the file had changed
            self._store.refuse(name, stat._replace(mtime=-1) if failed.passing else stat,
                               failed.reason)
            self._report.unreadable[name] = failed.reason
        self._report.counts['known'] -= len(file.others)
        self._report.counts['unreadable'] += len(file.others)
        return 'unreadable'
