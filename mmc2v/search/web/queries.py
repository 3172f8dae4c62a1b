"""Questions of many clients, answered by one thread with one model.

N clips, D width of their vectors.
"""
import contextlib
import queue
import secrets
import threading
import traceback
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, NamedTuple, Optional

import numpy as np

from mmc2v.user_errors import USER_ERRORS

from ..clips import IndexedClips
from ..encoder import ClipEncoder
from ..ranking import Moment, rank_clips
from ..video_search import VideoSearch
from .catalogue import CatalogueClip, clip_id, video_id
from .errors import RefusedError, busy, unusable
from ..names import FolderNames, shown

# Sentences that go through the text tower together, vectors that are kept, filters likewise.
_BATCH, _KEPT_VECTORS, _KEPT_UPLOADS, _KEPT_FILTERS = 64, 1024, 64, 8
# Filtered clips up to which all are scored although search is approximate.
_FEW = 20_000
# Seconds after which an index that cannot be searched is tried again.
_BETWEEN_TRIES = 2.0


@dataclass(frozen=True)
class Query:
    """A question.

    Attributes:
        text (str, optional): A sentence; or
        clip (CatalogueClip, optional): a clip of the index; or
        upload (str, optional): the id of an uploaded video.
        folder (str): Name of a folder as clients know it; '' for all.
        min_length (float): Seconds of the video at least.
        max_length (float): Seconds of the video at most.
        per_video (int, optional): Moments of a video at most.
        offset (int): Moments to leave out.
        limit (int): Moments at most.
    """

    text: Optional[str] = None
    clip: Optional[CatalogueClip] = None
    upload: Optional[str] = None
    folder: str = ''
    min_length: float = 0.0
    max_length: float = float('inf')
    per_video: Optional[int] = None
    offset: int = 0
    limit: int = 12

    @property
    def filter(self) -> tuple[str, float, float]:
        """What it says of videos."""
        return self.folder, self.min_length, self.max_length


class Upload(NamedTuple):
    """A video that somebody searches by.

    Attributes:
        name (str): Of its file, as shown.
        vector (np.ndarray): (D,) float32.
        weights (str): Digest of the model that made it.
    """

    name: str
    vector: np.ndarray
    weights: str


class _Job(NamedTuple):
    query: Any
    answer: Future


class SharedSearch:
    """Loads the model and answers, in a thread of its own, what is asked from anywhere.

    Sentences that wait go through the text tower together.

    Args:
        search (VideoSearch): Used by this thread alone from now on.
        waiting (int): Questions that may wait.

    Attributes:
        state (str): 'loading', 'empty' while nothing is indexed, 'ready' or 'failed'.
        batches (int): How often the text tower was used.
    """

    def __init__(self, search: VideoSearch, waiting: int) -> None:
        self.state = 'loading'
        self.batches = 0
        self._search = search
        self._jobs: queue.Queue[Optional[_Job]] = queue.Queue(waiting)
        self._vectors: OrderedDict[tuple[str, str], np.ndarray] = OrderedDict()
        self._uploads: OrderedDict[str, Upload] = OrderedDict()
        self._filters: OrderedDict[tuple, np.ndarray] = OrderedDict()
        self._filtered: Optional[IndexedClips] = None  # what the filters are of
        self._folders: Optional[dict[int, list[str]]] = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name='search', daemon=True)

    def start(self) -> None:
        """Begin to load the model."""
        self._thread.start()

    def close(self) -> None:
        """Answer no more."""
        self._ending.set()
        with contextlib.suppress(queue.Full):
            self._jobs.put_nowait(None)
        self._thread.join(10)

    def ask(self, query: Query) -> Future:
        """Ask for the document of an answer.

        Raises:
            RefusedError: If there is no model yet, or too many wait.
        """
        return self._put(query)

    def add_upload(self, name: str, frames: np.ndarray, num_frames: int) -> Future:
        """Ask for the id of a video by which one can search.

        Args:
            name (str): Of its file.
            frames (np.ndarray): (T, H, W, 3) uint8 that it is sampled by.
            num_frames (int): That the model takes.

        Raises:
            RefusedError: If there is no model yet, or too many wait.
        """
        return self._put(lambda: self._encode_upload(name, frames, num_frames))

    @property
    def reading(self) -> tuple[list[dict], float, float]:
        """How videos are read: pipeline, seconds of a window, and between two."""
        settings = self._search.settings
        return settings['pipeline'], settings['window'], settings['stride']

    def check_ready(self) -> None:
        """Refuse to answer before there is a model."""
        if self.state == 'loading':
            raise RefusedError(503, 'loading', 'the model is being loaded; try again in a moment',
                               retry_after='2')
        if self.state == 'failed':
            raise unusable()
        if self.state == 'empty':
            raise RefusedError(409, 'empty', 'nothing is indexed yet; index a folder of videos '
                               'first')

    def _put(self, query: Any) -> Future:
        self.check_ready()
        job = _Job(query, Future())
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            raise busy('many questions wait for the model at present') from None
        return job.answer

    def _run(self) -> None:
        """Load, then answer, until it is closed."""
        while not self._ending.is_set():
            if not self._load():
                self._ending.wait(_BETWEEN_TRIES)
            elif not self._answer_some():
                return

    def _load(self) -> bool:
        """Return whether there is something to search by; say what is wrong once."""
        if self.state == 'ready':
            return True
        before = self.state
        try:
            clips = self._search.load() if self._search.store.settings else None
            self.state = 'empty'
            if clips is not None:
                self.state = 'loading' if before != 'failed' else before
                self._search.model  # noqa: B018  loaded when it is asked for
                self.state = 'ready'
        except Exception as error:
            self.state = 'failed'
            if before != 'failed':
                _complain(error)
        return self.state == 'ready'

    def _answer_some(self) -> bool:
        """Answer those that wait; return False at the end."""
        jobs = [self._jobs.get()]
        with contextlib.suppress(queue.Empty):
            while len(jobs) < _BATCH:
                jobs.append(self._jobs.get_nowait())
        is_end = None in jobs
        jobs = [job for job in jobs if job is not None]
        questions = [job for job in jobs if isinstance(job.query, Query)]
        try:
            for job in jobs:
                if not isinstance(job.query, Query):
                    _settle(job, job.query)
            if questions:
                self._answer(questions)
        except Exception as error:  # of the index as a whole, not of one question
            for job in jobs:
                if not job.answer.done():
                    job.answer.set_exception(error)
            self.state = 'failed'
            _complain(error)
        return not is_end

    def _answer(self, jobs: Sequence[_Job]) -> None:
        """Answer questions, all by the index as it is now."""
        texts = [job.query.text for job in jobs if job.query.text is not None]
        with self._search.reading(lambda: self._encode(texts)) as (_, clips, candidates):
            if self._filtered is not clips:
                self._filtered, self._folders = clips, None
                self._filters.clear()
            for job in jobs:
                _settle(job, lambda query=job.query: self._document(query, clips, candidates))

    def _encode(self, texts: Sequence[str]) -> None:
        """Have the vectors of sentences, by one pass of the tower for those that are new."""
        model = self._search.model
        new = [text for text in dict.fromkeys(texts) if (model.weights, text) not in self._vectors]
        if new:
            self.batches += 1
            self._vectors.update(zip([(model.weights, text) for text in new],
                                     model.encode_texts(new)))
        for text in texts:
            self._vectors.move_to_end((model.weights, text))
        while len(self._vectors) > _KEPT_VECTORS:
            self._vectors.popitem(last=False)

    def _encode_upload(self, name: str, frames: np.ndarray, num_frames: int) -> str:
        model = self._search.model
        encoder = ClipEncoder(model.model, [np.arange(len(frames))], num_frames)
        encoder.add(range(len(frames)), frames)
        number = secrets.token_hex(16)
        self._uploads[number] = Upload(shown(PurePath(name).name)[:200],
                                       encoder.finish()[0].astype(np.float32), model.weights)
        while len(self._uploads) > _KEPT_UPLOADS:
            self._uploads.popitem(last=False)
        return number

    def _document(self, query: Query, clips: IndexedClips, candidates: Any) -> dict[str, Any]:
        """Return the answer to a question."""
        vector, out, described = self._described(query, clips)
        keep = self._matching(query, clips) & ~out
        rows, scores, sample = _scored(vector, clips, candidates, keep)
        most = query.offset + query.limit
        found = rank_clips(scores, clips.videos[rows], clips.spans[rows], most + 1,
                           query.per_video, sample)
        names = FolderNames(self._search.store.roots)
        results = [_result(rank, clips, names, int(rows[clip]), moment) for rank, (clip, moment) in
                   enumerate(found[query.offset:most], query.offset + 1)]
        return dict(query=described, offset=query.offset, more=len(found) > most, results=results)

    def _described(self, query: Query, clips: IndexedClips
                   ) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
        """Return the (D,) vector of a question, (N,) clips that are no answer, and its document."""
        weights = self._search.model.weights
        if query.text is not None:
            return (self._vectors[weights, query.text], clips.whole,
                    dict(kind='text', text=query.text))
        if query.upload is not None:
            upload = self._uploads.get(query.upload)
            if upload is None or upload.weights != weights:
                raise RefusedError(404, 'forgotten', 'the server no longer has the video that was '
                                   'searched by; give it again')
            return (upload.vector, np.zeros(len(clips.whole), bool),
                    dict(kind='upload', id=query.upload, name=upload.name))
        video, number = query.clip.video, query.clip.number
        content = next((key for key, found in clips.contents.items()
                        if found.digest == video.digest), None)
        if content is None:
            raise RefusedError(404, 'unknown', 'there is no such moment in the index; search again')
        first, last = np.searchsorted(clips.videos, (content, content + 1))
        start, end = query.clip.span
        # what is like a moment is another one; what is like a whole video may be one
        out = clips.whole.copy() if last - first > 1 and not clips.whole[first + number] \
            else np.zeros(len(clips.whole), bool)
        spans = clips.spans[first:last]
        out[first:last] |= (spans[:, 0] < end) & (start < spans[:, 1])
        vector = clips.vectors.rows(np.array([first + number]))[0]
        name = shown(PurePath(clips.contents[content].paths[0]).name)
        return vector, out, dict(kind='clip', id=clip_id(video.digest, number), name=name,
                                 start=start, end=end)

    def _matching(self, query: Query, clips: IndexedClips) -> np.ndarray:
        """Return (N,) whether a clip is of a video that the filters of a question let through."""
        if query.filter not in self._filters:
            if query.folder and self._folders is None:
                names = FolderNames(self._search.store.roots)
                self._folders = {number: [f'{names.of(path)}/' for path in video.paths]
                                 for number, video in clips.contents.items()}
            allowed = [number for number, video in clips.contents.items()
                       if query.min_length <= video.duration <= query.max_length
                       and (not query.folder or any(
                           name.startswith(f'{query.folder}/') for name in self._folders[number]))]
            self._filters[query.filter] = np.isin(clips.videos, allowed)
            while len(self._filters) > _KEPT_FILTERS:
                self._filters.popitem(last=False)
        self._filters.move_to_end(query.filter)
        return self._filters[query.filter]


def _settle(job: _Job, answer: Callable[[], Any]) -> None:
    """Answer one question, be it by what is wrong with it."""
    try:
        job.answer.set_result(answer())
    except RefusedError as error:
        job.answer.set_exception(error)


def _complain(error: Exception) -> None:
    """Say on the terminal what the browser is not told."""
    if isinstance(error, USER_ERRORS):
        print(f'error: {error}', flush=True)
    else:
        traceback.print_exception(error)


def _scored(vector: np.ndarray, clips: IndexedClips, candidates: Any, keep: np.ndarray
            ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Score clips.

    Args:
        vector (np.ndarray): (D,) float32.
        clips (IndexedClips): N of them.
        candidates (ApproximateIndex, optional): Where search is approximate.
        keep (np.ndarray): (N,) which of them count.

    Returns:
        tuple: Numbers of clips, ascending, their scores, and those of clips that stand for all.
    """
    if candidates is None:
        scores = clips.vectors.scores(vector)
        rows = np.flatnonzero(keep)
        sample = scores[~clips.whole]
        scores = scores[rows]
    else:
        rows = np.flatnonzero(keep)
        if len(rows) > _FEW:
            rows = candidates.candidates(vector)
            rows = rows[keep[rows]]
        scores, sample = clips.vectors.rows(rows) @ vector, clips.sample @ vector
    if not (np.isfinite(scores).all() and np.isfinite(sample).all()):
        raise ValueError('some vectors of the index are no numbers; make it anew with --rebuild')
    return rows, scores, sample


def _result(rank: int, clips: IndexedClips, names: FolderNames, row: int,
            moment: Moment) -> dict[str, Any]:
    """Return the document of a moment that was found."""
    content = int(clips.videos[row])
    video = clips.contents[content]
    name = clip_id(video.digest, row - int(np.searchsorted(clips.videos, content)))
    return dict(
        rank=rank, id=name, video=video_id(video.digest),
        name=shown(PurePath(video.paths[0]).name), folder=names.of(video.paths[0]),
        copies=len(video.paths) - 1, start=moment.start, end=moment.end, duration=video.duration,
        score=round(moment.score, 5), stands_out=round(moment.stands_out, 3),
        thumbnail=f'/api/clips/{name}/thumbnail')
