"""What a run of indexing did."""
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Report:
    """What a run did.

    Attributes:
        counts (Counter): Files by what became of them: 'indexed', 'known' (what is in them was in
            the index, under another name or before), 'unreadable', 'growing' (left for the next
            run), 'same', 'removed', 'again' (read again since the store had lost it).
        unreadable (dict[str, str]): Reasons, by path.
        damaged (dict[str, str]): What was filled or is missing, by path.
        growing (list[str]): Files that were being written.
        closed (list[str]): Folders that cannot be read.
        seconds_of_video (float): That were indexed.
        seconds (float): That it took.
        encoded_by (str): What encoded frames and why, for people; empty where nothing was to
            choose.
    """

    counts: Counter = field(default_factory=Counter)
    unreadable: dict[str, str] = field(default_factory=dict)
    damaged: dict[str, str] = field(default_factory=dict)
    growing: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    seconds_of_video: float = 0.0
    seconds: float = 0.0
    encoded_by: str = ''

    @classmethod
    def merged(cls, reports: Sequence['Report']) -> 'Report':
        """Return what several processes did together."""
        merged = cls()
        for report in reports:
            merged.counts.update(report.counts)
            merged.unreadable.update(report.unreadable)
            merged.damaged.update(report.damaged)
            merged.growing += report.growing
            merged.closed = sorted({*merged.closed, *report.closed})
            merged.seconds_of_video += report.seconds_of_video
            merged.encoded_by = merged.encoded_by or report.encoded_by
        return merged
