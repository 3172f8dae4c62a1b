"""Embeddings of a test set, and the file that holds them."""
import json
import os
import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np

from mmc2v.annotations import match_names

FORMAT = 1


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
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + '.partial')
        with open(partial, 'wb') as file:
            np.savez(file, **arrays)
        os.replace(partial, path)

    @classmethod
    def load(cls, path: Union[str, Path]) -> 'RetrievalEmbeddings':
        """Read the file; nothing in it is executed.

        Raises:
            FileNotFoundError: If there is none.
            ValueError: If it is not such a file.
        """
        if not Path(path).is_file():
            raise FileNotFoundError(f"'{path}' is not a file; write it with "
                                    'tools/test.py CONFIG CHECKPOINT --dump FILE.npz')
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            info = json.loads(str(arrays.pop('info')))
            if info.pop('format') != FORMAT:
                raise ValueError('it is of another version')
            arrays['logit_scale'] = float(arrays['logit_scale'])
            return cls(info=info, **arrays)
        except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
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
        kept = np.flatnonzero([caption in wanted.get(self.video_ids[own], ()) for own, caption in
                               zip(self.owner, self.captions.tolist())])
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
