"""Embeddings of a test set, and the file that holds them."""
import json
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np

from mmc2v.annotations import match_names
from mmc2v.strict_text import parse_json
from mmc2v.whole_files import open_whole

FORMAT = 1
# Kinds of dtypes of what is in a file, and its sides: M videos, N captions, Q captions of a bank,
# D width
_LAYOUT = {'video': ('f', 'MD'), 'video_ids': ('U', 'M'), 'undecodable': ('b', 'M'),
           'text': ('f', 'ND'), 'captions': ('U', 'N'), 'owner': ('iu', 'N'),
           'logit_scale': ('f', ''), 'info': ('U', ''), 'group': ('U', 'M'), 'kind': ('U', 'M'),
           'query_bank': ('f', 'QD')}
MAX_SCORES = 10 ** 11  # of a dump, videos times captions: more would be ranked for days
_OPTIONAL = ('group', 'kind', 'query_bank')


@dataclass(frozen=True)
class RetrievalEmbeddings:
    """Everything that any protocol needs; the inner product of two embeddings is their score.

    The file is an uncompressed ``.npz`` of plain arrays under the names below, read with
    ``numpy.load(path, allow_pickle=False)``; ``group``, ``kind`` and ``query_bank`` are absent
    where there are none, and ``info`` is one string of JSON.

    Attributes:
        video (np.ndarray): (M, D) float32 unit vectors; zero where undecodable.
        video_ids (np.ndarray): (M,) names as in the annotation.
        undecodable (np.ndarray): (M,) bool; such videos count as not found.
        text (np.ndarray): (N, D) float32 unit vectors; captions with equal tokens have the same.
        captions (np.ndarray): (N,) sentences.
        owner (np.ndarray): (N,) index of each caption's video.
        group (np.ndarray, optional): (M,) names of groups in which every video counts as right.
        kind (np.ndarray, optional): (M,) names of kinds of captions, reported one by one.
        query_bank (np.ndarray, optional): (Q, D) float32 unit vectors of training captions.
        logit_scale (float): The model's exp(logit_scale).
        info (dict): What is known of the data set, the config and the checkpoint.
    """

    video: np.ndarray
    video_ids: np.ndarray
    undecodable: np.ndarray
    text: np.ndarray
    captions: np.ndarray
    owner: np.ndarray
    group: Optional[np.ndarray] = None
    kind: Optional[np.ndarray] = None
    query_bank: Optional[np.ndarray] = None
    logit_scale: float = 100.0
    info: dict[str, Any] = field(default_factory=dict)

    def save(self, path: Union[str, Path]) -> None:
        """Write the file, whole or not at all."""
        arrays = {name: value for name, value in vars(self).items() if value is not None}
        arrays.update(info=np.array(json.dumps(dict(self.info, format=FORMAT))),
                      logit_scale=np.float64(self.logit_scale))
        with open_whole(path) as file:
            np.savez(file, **arrays)

    @classmethod
    def load(cls, path: Union[str, Path]) -> 'RetrievalEmbeddings':
        """Read the file; nothing in it is executed or unpacked to more than the file's size.

        Raises:
            FileNotFoundError: If there is none.
            ValueError: If it is not such a file, is damaged, or its arrays do not fit together.
        """
        if not Path(path).is_file():
            raise FileNotFoundError(f"'{path}' is not a file; write it with "
                                    'tools/test.py CONFIG CHECKPOINT --dump FILE.npz')
        try:
            arrays = read_arrays(path, _LAYOUT)
            _check_arrays(arrays)
            info = parse_json(str(arrays.pop('info')), f'{path}, info')
            _check_info(info, arrays)
            del info['format']
            arrays['logit_scale'] = float(arrays['logit_scale'])
            return cls(info=info, **arrays)
        except Exception as error:  # a damaged archive raises of many types
            raise ValueError(f"'{path}' is not a dump of embeddings as tools/test.py --dump "
                             f'writes it: {type(error).__name__}: {error}') from error

    def select(self, annotation: dict[str, list[str]]) -> 'RetrievalEmbeddings':
        """Keep the videos and captions of another split.

        Videos are matched by :func:`mmc2v.annotations.match_names`, captions by their text.

        Args:
            annotation (dict[str, list[str]]): Captions of each video of the split.

        Returns:
            RetrievalEmbeddings: In the order of the dump; ``info`` counts what is not in it.

        Raises:
            ValueError: If no caption of a video that is in the dump was embedded.
        """
        match = match_names(self.video_ids.tolist(), annotation)
        wanted = {name: set(annotation[other]) for name, other in match.items()}
        chosen = np.flatnonzero([name in wanted for name in self.video_ids])
        kept = np.flatnonzero([caption in wanted.get(video_id, ()) for video_id, caption in
                               zip(self.video_ids[self.owner], self.captions.tolist())])
        bare = np.setdiff1d(chosen, self.owner[kept])
        if len(bare) or not len(chosen):
            raise ValueError(
                f'{len(chosen)} of {len(annotation)} videos of the split are in the dump, and '
                f'{len(bare)} of those have none of its captions there: '
                f'{self.video_ids[bare[:3]].tolist()}. Embed them by tools/test.py with that '
                'annotation')
        info = dict(self.info, listed_videos=len(annotation),
                    missing_videos=len(annotation.keys() - set(match.values())))
        return replace(self._subset(chosen, kept), info=info)

    def of_kind(self, kind: str) -> 'RetrievalEmbeddings':
        """Keep the videos of one kind, and their captions."""
        chosen = np.flatnonzero(self.kind == kind)
        return self._subset(chosen, np.flatnonzero(np.isin(self.owner, chosen)))

    def _subset(self, videos: np.ndarray, captions: np.ndarray) -> 'RetrievalEmbeddings':
        new_index = np.full(len(self.video_ids), -1)
        new_index[videos] = np.arange(len(videos))
        of_videos = {name: value[videos] for name in (
            'video', 'video_ids', 'undecodable', 'group', 'kind')
            if (value := getattr(self, name)) is not None}
        return replace(self, **of_videos, text=self.text[captions],
                       captions=self.captions[captions], owner=new_index[self.owner[captions]])


def read_arrays(path: Union[str, Path], known: Collection[str]) -> dict[str, np.ndarray]:
    """Read a file's arrays; uncompressed, none can be larger than the file.

    Args:
        path (str | Path): ``.npz`` of plain arrays.
        known (Collection[str]): Names that it may hold.

    Raises:
        ValueError: If it holds others, or is compressed. A damaged archive raises of many types.
    """
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
    names = [part.filename.removesuffix('.npy') for part in parts]
    if set(names) - set(known) or len(names) > len(set(names)):
        raise ValueError(f'it holds {sorted(names)[:20]}, expected one each of {list(known)}')
    if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
        raise ValueError('it is compressed; write it by numpy.savez, not numpy.savez_compressed')
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in names}


def _check_arrays(arrays: Mapping[str, np.ndarray]) -> None:
    """Refuse arrays that are missing, of other types, or do not fit together."""
    lengths: dict[str, int] = {}
    for name, (kinds, sides) in _LAYOUT.items():
        if name not in arrays:
            if name in _OPTIONAL:
                continue
            raise ValueError(f"it has no array '{name}'")
        array = arrays[name]
        if array.dtype.kind not in kinds or array.ndim != len(sides):
            raise ValueError(f"'{name}' is {array.dtype} of shape {array.shape}")
        for side, length in zip(sides, array.shape):
            if length == 0 or lengths.setdefault(side, length) != length:
                raise ValueError(f"'{name}' has the shape {array.shape}, which does not fit "
                                 f'{lengths}, the lengths of M videos, N captions, D width')
    if lengths['M'] * lengths['N'] > MAX_SCORES:
        raise ValueError(f"{lengths['M']} videos and {lengths['N']} captions have more than "
                         f'{MAX_SCORES:.0e} scores')
    if not np.array_equal(np.unique(arrays['owner']), np.arange(lengths['M'])):
        raise ValueError(f"'owner' must give each of the {lengths['M']} videos a caption, and "
                         'name no other')
    if not 0 < arrays['logit_scale'] < np.inf:
        raise ValueError(f"'logit_scale' is {arrays['logit_scale']}")


def _check_info(info: Any, arrays: Mapping[str, np.ndarray]) -> None:
    """Refuse what is known of a data set where figures cannot be made by it."""
    if not isinstance(info, dict) or info.get('format') != FORMAT:
        raise ValueError(f"its 'info' is not that of version {FORMAT}")
    counts = [info.get(name) for name in ('listed_videos', 'missing_videos')]
    if counts != [None, None] and not (all(type(count) is int for count in counts)
                                       and 0 <= counts[1] < counts[0] < 2 ** 63):
        raise ValueError(f"its 'info' has {counts} listed and missing videos")
    for option, kind, array in (('group_name', str, 'group'), ('by_kind', bool, 'kind')):
        value = info.get(option)
        if value is not None and (not isinstance(value, kind)
                                  or (value and array not in arrays)):
            raise ValueError(f"its 'info' has {option}={value!r}, which needs the array '{array}'")
