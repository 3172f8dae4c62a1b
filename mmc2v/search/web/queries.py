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
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any, NamedTuple, Optional

import numpy as np

from mmc2v.user_errors import USER_ERRORS

from ..clips import IndexedClips, Scored, Wanted
from ..names import FolderNames, shown
from ..ranking import Moment, rank_clips
from ..video_search import VideoSearch
from .catalogue import CatalogueClip, clip_document, clip_id
from .errors import RefusedError, busy, unusable

# Sentences that go through the text tower together, vectors that are kept.
_BATCH, _KEPT_VECTORS, _KEPT_UPLOADS = 64, 1024, 64
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
            with contextlib.suppress(Exception):  # what it has opened may be what is wrong
                self._search.close()
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
        with self._search.reading(lambda: self._encode(texts)) as (_, clips):
            for job in jobs:
                _settle(job, lambda query=job.query: self._document(query, clips))

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
        model, number = self._search.model, secrets.token_hex(16)
        self._uploads[number] = Upload(shown(PurePath(name).name)[:200] or 'a video',
                                       model.encode_frames(frames, num_frames), model.weights)
        while len(self._uploads) > _KEPT_UPLOADS:
            self._uploads.popitem(last=False)
        return number

    def _document(self, query: Query, clips: IndexedClips) -> dict[str, Any]:
        """Return the answer to a question."""
        vector, wanted, described = self._described(query, clips)
        scored = clips.scored(vector, wanted)
        most = query.offset + query.limit
        found = rank_clips(scored.scores, scored.videos, scored.spans, most + 1, query.per_video,
                           scored.sample)
        results = [_result(rank, scored, clips.names, clip, moment) for rank, (clip, moment) in
                   enumerate(found[query.offset:most], query.offset + 1)]
        return dict(query=described, offset=query.offset, more=len(found) > most, results=results)

    def _described(self, query: Query, clips: IndexedClips
                   ) -> tuple[np.ndarray, Wanted, dict[str, Any]]:
        """Return the (D,) vector of a question, which clips answer it, and its document."""
        weights = self._search.model.weights
        wanted = Wanted(folder=query.folder, min_length=query.min_length,
                        max_length=query.max_length)
        if query.text is not None:
            return self._vectors[weights, query.text], wanted, dict(kind='text', text=query.text)
        if query.upload is not None:
            upload = self._uploads.get(query.upload)
            if upload is None or upload.weights != weights:
                raise RefusedError(404, 'forgotten', 'the server no longer has the video that was '
                                   'searched by; give it again')
            return (upload.vector, replace(wanted, whole=True),
                    dict(kind='upload', id=query.upload, name=upload.name))
        video, number = query.clip.video, query.clip.number
        vector = clips.vector_of(video.digest, number)
        if vector is None:
            raise RefusedError(404, 'unknown', 'there is no such moment in the index; search again')
        start, end = query.clip.span
        # what is like a moment is another one; what is like a whole video may be one
        wanted = replace(wanted, whole=number == len(video.spans) - 1, without=video.digest,
                         span=(start, end))
        name = shown(PurePath(next(iter(query.clip.files))).name)
        return vector, wanted, dict(kind='clip', id=clip_id(video.digest, number), name=name,
                                    start=start, end=end)


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


def _result(rank: int, scored: Scored, names: FolderNames, clip: int,
            moment: Moment) -> dict[str, Any]:
    """Return the document of a moment that was found."""
    video = scored.contents[int(scored.videos[clip])]
    return dict(
        clip_document(video.digest, int(scored.numbers[clip]), video.paths, names, moment.start,
                      moment.end, video.duration),
        rank=rank, score=round(moment.score, 5), stands_out=round(moment.stands_out, 3))
