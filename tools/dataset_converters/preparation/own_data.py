"""Captions of one's own videos, from a table or JSON, and the splits of them."""
import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from mmc2v.annotations import normalize_name
from mmc2v.strict_text import read_json

from .conversion import Conversion
from .reading import read_json_lines, read_numbered_table

COLUMNS = ('video', 'caption')
SPLIT_NAMES = {'train': 'train', 'val': 'val', 'validation': 'val', 'test': 'test'}


@dataclass(frozen=True)
class RandomSplit:
    """Shares of the videos for validation and test; the rest is for training.

    Attributes:
        val_share (float): From 0 to 1.
        test_share (float): From 0 to 1.
        seed (int): Of the choice.
    """

    val_share: float = 0.1
    test_share: float = 0.1
    seed: int = 0

    def assign(self, videos: Sequence[str]) -> dict[str, str]:
        """Choose a split for each video, whatever their order.

        Args:
            videos (Sequence[str]): Their names.

        Returns:
            dict[str, str]: Video -> 'train', 'val' or 'test'.

        Raises:
            ValueError: If shares are none, or there are too few videos for them.
        """
        if min(self.val_share, self.test_share) < 0 or not self.val_share + self.test_share <= 1:
            raise ValueError(f'--val-share {self.val_share} and --test-share {self.test_share} '
                             'must be from 0 to 1, and so must their sum')
        shuffled = sorted(videos)
        random.Random(self.seed).shuffle(shuffled)
        first_val = round(len(videos) * self.test_share)
        first_train = round(len(videos) * (self.test_share + self.val_share))
        parts = dict(test=shuffled[:first_val], val=shuffled[first_val:first_train],
                     train=shuffled[first_train:])
        shares = dict(test=self.test_share, val=self.val_share,
                      train=1 - self.val_share - self.test_share)
        for split, part in parts.items():
            if not part and shares[split] > 1e-9:
                raise ValueError(f'{len(videos)} videos are too few for a share of '
                                 f'{shares[split]:.2g} for {split}; change --val-share and '
                                 '--test-share, or give a split in the file')
        return {video: split for split, part in parts.items() for video in part}


def read_own_data(conversion: Conversion, path: Path, videos: Optional[Path],
                  random_split: Optional[RandomSplit]) -> None:
    """Add the splits of a file of captions.

    Args:
        conversion (Conversion): Takes the splits.
        path (Path): .csv or .tsv with the columns video, caption and maybe split; .jsonl with one
            such object a row; .json with a list of them, or
            ``{"video.mp4": ["caption", ...]}``. In JSON a caption may be a list of captions.
        videos (Path, optional): Folder that absolute paths are in.
        random_split (RandomSplit, optional): How to split a file that does not say. Defaults to
            None: as :class:`RandomSplit` does.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: With file and row, if something is missing or malformed, if a video is in two
            splits, or if a random split is asked for and the file has one.
    """
    entries = [(where, _check_entry(where, entry, videos))
               for where, entry in _entries(conversion.source(path))]
    captions: dict[str, list[str]] = {}
    for where, entry in entries:
        texts = entry['caption']
        places = [where] if isinstance(texts, str) else \
            [f'{where}, caption {number}' for number, _ in enumerate(texts, 1)]
        for place, text in zip(places, [texts] if isinstance(texts, str) else texts):
            conversion.append(captions, entry['video'], place, text)
    if any('split' in entry for _, entry in entries):
        if random_split is not None:
            raise ValueError(f"'{path}' says which split a video is in; --val-share, --test-share "
                             'and --seed are for files that do not')
        split_of = _stated_splits(entries)
        conversion.notes.append('split as the file says')
    else:
        random_split = random_split or RandomSplit()
        split_of = random_split.assign(list(captions))
        conversion.notes.append(
            f'split at random by video: {random_split.val_share:.2g} for val, '
            f'{random_split.test_share:.2g} for test, seed {random_split.seed}')
    unused = sorted({key for _, entry in entries for key in entry} - {*COLUMNS, 'split'})
    if unused:
        conversion.notes.append(f'not used: {unused}')
    for split in ('train', 'val', 'test'):
        of_split = [video for video in captions if split_of[video] == split]
        if of_split:
            conversion.add(split, of_split, captions, path.name, may_lack_captions=True)


def _entries(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield what a file says of one video, and where."""
    extension = path.suffix.lower()
    if extension in ('.csv', '.tsv'):
        for line, row in read_numbered_table(path, COLUMNS, ',' if extension == '.csv' else '\t'):
            yield f"'{path}', row {line}", row
    elif extension == '.jsonl':
        for line, entry in enumerate(read_json_lines(path), 1):
            yield f"'{path}', row {line}", entry
    elif extension == '.json':
        content = read_json(path, list, dict)
        if not content:
            raise ValueError(f"'{path}' is empty")
        if isinstance(content, dict):
            for name, texts in content.items():
                yield f"'{path}', video '{name}'", dict(video=name, caption=texts)
        else:
            for number, entry in enumerate(content, 1):
                yield f"'{path}', entry {number}", entry
    else:
        raise ValueError(f"--captions '{path}': expected a .csv, .tsv, .json or .jsonl file")


def _check_entry(where: str, entry: Any, videos: Optional[Path]) -> dict[str, Any]:
    """Return an entry with the video's name as the annotation will have it."""
    if not isinstance(entry, dict) or not {*COLUMNS} <= entry.keys():
        raise ValueError(f'{where}: expected video and caption, found {entry!r}')
    if not isinstance(entry['video'], str) or not entry['video'].strip():
        raise ValueError(f"{where}: expected the name of a video, found {entry['video']!r}")
    if not isinstance(entry['caption'], (str, list)) or entry['caption'] == []:
        raise ValueError(f"{where}: expected a caption, or a list of some, found "
                         f"{entry['caption']!r}")
    return dict(entry, video=_name_within(where, entry['video'].strip(), videos))


def _name_within(where: str, name: str, folder: Optional[Path]) -> str:
    """Return a video's name relative to the folder of videos, with forward slashes."""
    if os.path.isabs(name):
        if folder is None:
            raise ValueError(f"{where}: the absolute path '{name}' needs --videos, the folder that "
                             'it is in')
        # as written, or else by way of links to folders
        ways = ((os.path.normpath(name), os.path.abspath(folder)),
                (os.path.join(os.path.realpath(os.path.dirname(name)), os.path.basename(name)),
                 os.path.realpath(folder)))
        relative = next((os.path.relpath(path, root) for path, root in ways
                         if Path(path).is_relative_to(root)), None)
        if relative is None:
            raise ValueError(f"{where}: the video '{name}' is outside the folder --videos "
                             f"'{folder}'")
        name = relative
    return normalize_name(where, name)


def _stated_splits(entries: Sequence[tuple[str, dict[str, Any]]]) -> dict[str, str]:
    """Return the split of each video as the entries have it."""
    stated: dict[str, tuple[str, str]] = {}
    for where, entry in entries:
        split = SPLIT_NAMES.get(entry.get('split'))
        if split is None:
            raise ValueError(f"{where}: the split must be train, val or test, found "
                             f"{entry.get('split')!r}")
        first, first_where = stated.setdefault(entry['video'], (split, where))
        if first != split:
            raise ValueError(f"{where}: the video '{entry['video']}' is in {split}, but in {first} "
                             f'at {first_where}; all captions of a video belong to one split')
    return {video: split for video, (split, _) in stated.items()}
