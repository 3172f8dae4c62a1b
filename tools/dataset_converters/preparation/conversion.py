"""What a conversion collects while it reads: captions by split, and what is odd about them."""
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from mmc2v.annotations import check_caption


@dataclass
class Conversion:
    """Collects splits while official files are read.

    Attributes:
        skip_empty (bool): Leave empty captions out instead of refusing them.
        splits (dict[str, dict[str, list[str]]]): Captions of each video of each split, in order.
        sources (list[str]): Names of the files that were read.
        without_captions (dict[str, list[str]]): Listed videos that no file has a caption for.
        skipped (list[str]): Where empty captions were left out.
        repeated (list[str]): Where a video has a caption that it had before.
        notes (list[str]): What the report has to say of the choices that were made.
    """

    skip_empty: bool = False
    splits: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    sources: list[str] = field(default_factory=list)
    without_captions: dict[str, list[str]] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def source(self, path: Path) -> Path:
        """Note that a file is read; return it."""
        self.sources.append(path.name)
        return path

    def caption(self, where: str, text: Any) -> Optional[str]:
        """Check one caption.

        Args:
            where (str): File and row, for the message.
            text (Any): What stands there.

        Returns:
            str | None: The caption without surrounding blanks; None if it is to be left out.

        Raises:
            ValueError: If it is not text, or empty.
        """
        if self.skip_empty and isinstance(text, str) and not text.strip():
            self.skipped.append(where)
            return None
        return ' '.join(check_caption(where, text, (
            '; --skip-empty-captions leaves such captions out and lists them in the report'
        )).split())

    def captions(self, where: str, texts: Any) -> list[str]:
        """Check a list of captions, see :meth:`caption`."""
        if not isinstance(texts, (list, tuple)):
            raise ValueError(f'{where}: expected a list of captions, found {texts!r}')
        checked = (self.caption(f'{where}, caption {row}', text)
                   for row, text in enumerate(texts, 1))
        return [text for text in checked if text is not None]

    def append(self, captions: dict[str, list[str]], video: str, where: str, text: Any) -> None:
        """Check one caption and append it to those of its video; a repeated one is kept and noted.

        Args:
            captions (dict[str, list[str]]): Captions of each video, changed in place.
            video (str): The video, which is added even if its caption is left out.
            where (str): File and row, for the message.
            text (Any): What stands there, see :meth:`caption`.
        """
        checked, of_video = self.caption(where, text), captions.setdefault(video, [])
        if checked in of_video:
            self.repeated.append(where)
        if checked is not None:
            of_video.append(checked)

    def add(self, split: str, ids: Iterable[str], captions: Mapping[str, Sequence[str]],
            list_name: str, may_lack_captions: bool = False, first_row: int = 1) -> None:
        """Add a split.

        Args:
            split (str): 'train', 'val' or 'test'.
            ids (Iterable[str]): Videos that the list names, in its order.
            captions (Mapping[str, Sequence[str]]): Captions of them, and maybe of others.
            list_name (str): File that lists them, for the message.
            may_lack_captions (bool): Report videos without captions instead of refusing them.
            first_row (int): Row of the first id in that file. Defaults to 1.

        Raises:
            ValueError: If listed videos have no caption.
        """
        ids = list(ids)
        without = [name for name in ids if not captions.get(name)]
        if without and (len(without) == len(ids) or not may_lack_captions):
            raise ValueError(
                f"{len(without)} of {len(ids)} videos of '{list_name}' (row "
                f"{ids.index(without[0]) + first_row}: '{without[0]}') have no caption in "
                f'{sorted(set(self.sources) - {list_name})}; the files do not belong together')
        self.without_captions[split] = without
        self.splits[split] = {name: list(captions[name]) for name in ids if captions.get(name)}
