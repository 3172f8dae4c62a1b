"""The application: which address is answered by what."""
import asyncio
import contextlib
import hashlib
import os
import re
import tempfile
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Optional

import numpy as np
from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router

from ..names import FolderNames, shown
from ..video_search import VideoSearch
from .cache import BoundedCache
from .catalogue import Catalogue, CatalogueClip, clip_document, clip_id, video_id
from .errors import RefusedError, busy, unusable
from .files import open_indexed
from .guard import Access, Guard
from .limits import Limits
from .parameters import none_but, read_query, upload_name
from .processes import JobError, MediaProcesses
from .queries import SharedSearch
from .ranges import OpenFile, is_known

_PAGE = Path(__file__).parent / 'page'
_ASSETS = {'/': ('index.html', 'text/html'), '/page.js': ('page.js', 'text/javascript'),
           '/page.css': ('page.css', 'text/css'), '/icon.svg': ('icon.svg', 'image/svg+xml'),
           '/api/openapi.json': ('../openapi.json', 'application/json')}
# Files of which it is known how browsers play them; seconds for which clients keep a content.
_KEPT_KINDS, _MAX_AGE = 4096, 86400


class SearchServer:
    """What the routes share.

    Args:
        search (VideoSearch): Taken over; the server closes it.
        access (Access): Who may ask.
        limits (Limits): How much.

    Attributes:
        app (Any): The application of ASGI.
        shared (SharedSearch): Answers questions.
    """

    def __init__(self, search: VideoSearch, access: Optional[Access] = None,
                 limits: Optional[Limits] = None) -> None:
        self._limits, access = limits or Limits(), access or Access()
        self._search, self._index = search, search.index
        self._catalogue = Catalogue(search.index)
        self.shared = SharedSearch(search, self._limits.waiting_queries)
        self._uploading = 0
        self._kinds: OrderedDict[str, Optional[str]] = OrderedDict()
        routes = [Route(path, _asset) for path in _ASSETS]
        routes += [Route(path, endpoint, methods=methods) for path, endpoint, methods in (
            ('/api/status', self.status, ['GET']), ('/api/search', self.search, ['GET']),
            ('/api/uploads', self.upload, ['POST']), ('/api/clips/{id}', self.clip, ['GET']),
            ('/api/clips/{id}/thumbnail', self.thumbnail, ['GET']),
            ('/api/clips/{id}/moment', self.moment, ['GET']),
            ('/api/videos/{id}', self.video, ['GET']))]
        router = Router(routes, redirect_slashes=False, lifespan=self._lifespan)
        self.app = Guard(router, access, self._limits)

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Router) -> AsyncIterator[None]:
        limits = self._limits
        self._cache = BoundedCache(limits.cache_bytes)
        self._pictures = MediaProcesses(2, limits.waiting_media)
        self._moments = MediaProcesses(limits.transcodes, limits.waiting_media)
        self.shared.start()
        starting = [asyncio.create_task(processes.start())
                    for processes in (self._pictures, self._moments)]
        try:
            yield
        finally:
            self._pictures.close()
            self._moments.close()
            await asyncio.gather(*starting, return_exceptions=True)
            await run_sync(self.shared.close)
            self._catalogue.close()
            self._cache.close()

    async def status(self, request: Request) -> Response:
        """Say what there is and whether it can be asked."""
        none_but(request.query_params.multi_items())
        summary = await run_sync(self._catalogue.summary)
        state = self.shared.state
        if state == 'ready' and not summary['videos']:
            state = 'empty'
        return _json(dict(state=state, index=shown(os.path.basename(self._index)), **summary,
                          limits=dict(query_chars=self._limits.query_chars,
                                      upload_bytes=self._limits.upload_bytes)))

    async def search(self, request: Request) -> Response:
        """Find moments."""
        self.shared.check_ready()
        start = time.monotonic()
        query = await run_sync(read_query, request.query_params.multi_items(), self._catalogue,
                               self._limits)
        document = await self._asked(self.shared.ask(query))
        return _json(dict(document, seconds=round(time.monotonic() - start, 4)))

    async def _asked(self, answer: Any) -> Any:
        """Wait for the thread that searches."""
        try:
            return await asyncio.wrap_future(answer)
        except (RefusedError, asyncio.CancelledError):
            raise
        except Exception:  # which it has told on the terminal
            raise unusable() from None

    async def upload(self, request: Request) -> Response:
        """Take a video by which moments can be searched; it is read, and forgotten as a file."""
        none_but(request.query_params.multi_items())
        self.shared.check_ready()
        if self._uploading >= self._limits.uploads:
            raise busy('other videos are being uploaded at present')
        self._uploading += 1
        try:
            with tempfile.TemporaryFile() as file:  # without a name it goes even with a kill
                await self._receive(request, file)
                answer, frames = await self._moments.run(
                    'query', *self.shared.reading, seconds=self._limits.moment_seconds,
                    file=file.fileno())
        except JobError as error:
            raise RefusedError(422, 'unreadable', f'this video cannot be read: {error}') from None
        finally:
            self._uploading -= 1
        images = np.frombuffer(bytearray(frames), np.uint8).reshape(answer['shape'])
        name = upload_name(request.headers.get('x-file-name'))
        number = await self._asked(self.shared.add_upload(name, images, answer['num_frames']))
        return _json(dict(upload=number), 201)

    async def _receive(self, request: Request, file: Any) -> None:
        """Write the body of a request into a file.

        Raises:
            RefusedError: If it is too large, or comes too slowly.
        """
        limits, size, start = self._limits, 0, time.monotonic()
        most = RefusedError(413, 'too_large', f'the video is larger than '
                            f'{limits.upload_bytes // 2 ** 20} MiB; give a part of it')
        declared = request.headers.get('content-length', '0')
        if not re.fullmatch('[0-9]{1,15}', declared) or int(declared) > limits.upload_bytes:
            raise most
        parts = request.stream()
        while True:
            left = limits.head_seconds + size / limits.upload_rate - (time.monotonic() - start)
            try:
                part = await asyncio.wait_for(anext(parts, None), max(0.01, left))
            except TimeoutError:
                raise RefusedError(408, 'slow', 'the video comes too slowly; try again') from None
            if part is None:
                break
            size += len(part)
            if size > limits.upload_bytes:
                raise most
            await run_sync(file.write, part)
        if not size:
            raise RefusedError(400, 'empty', 'there is no video in the request')
        await run_sync(file.flush)

    async def clip(self, request: Request) -> Response:
        """Say what is known of a moment, and how it can be played."""
        none_but(request.query_params.multi_items())
        clip = await self._clip(request)
        kind, problem = None, None
        try:
            kind = await self._kind(clip)
        except RefusedError as error:
            problem = error.document['error']
        document = clip_document(clip.video.digest, clip.number, [*clip.files],
                                 FolderNames(clip.roots), *clip.span, clip.video.duration)
        return _json(dict(
            document, type=kind, problem=problem, file=f"/api/videos/{document['video']}",
            moment=f"/api/clips/{document['id']}/moment"))

    async def _clip(self, request: Request) -> CatalogueClip:
        return await run_sync(self._catalogue.clip, request.path_params['id'])

    async def _kind(self, clip: CatalogueClip) -> Optional[str]:
        """Return the type of content of a video that every browser plays, or None.

        Raises:
            RefusedError: If its file is not as it was.
        """
        key = video_id(clip.video.digest)
        async with _opened(clip) as file:
            if key not in self._kinds:
                try:
                    answer, _ = await self._pictures.run(
                        'probe', seconds=self._limits.picture_seconds, file=file)
                except JobError:
                    answer = dict(kind=None)
                self._kinds[key] = answer['kind'] if answer['kind'] in (
                    'video/mp4', 'video/webm') else None
                if len(self._kinds) > _KEPT_KINDS:
                    self._kinds.popitem(last=False)
        return self._kinds[key]

    async def thumbnail(self, request: Request) -> Response:
        """Send the frame in the middle of a moment."""
        none_but(request.query_params.multi_items())
        clip = await self._clip(request)
        start, end = clip.span
        limits = self._limits

        async def make(target: str) -> None:
            async with _opened(clip) as file:
                _, image = await self._pictures.run('picture', (start + end) / 2,
                                                    seconds=limits.picture_seconds, file=file)
            await run_sync(Path(target).write_bytes, image)
        return await self._made(request, clip, 'jpg', 'image/jpeg', make)

    async def moment(self, request: Request) -> Response:
        """Send a moment as H.264 in mp4, whatever its file is."""
        none_but(request.query_params.multi_items())
        clip = await self._clip(request)
        start, end = clip.span
        end = min(end, start + self._limits.moment_length)

        async def make(target: str) -> None:
            async with _opened(clip) as file:
                await self._moments.run('moment', start, end, target, file=file,
                                        seconds=self._limits.moment_seconds)
        return await self._made(request, clip, 'mp4', 'video/mp4', make)

    async def _made(self, request: Request, clip: CatalogueClip, suffix: str, kind: str,
                    make: Any) -> Response:
        """Send a file that is made of a clip, once."""
        key = f'{clip_id(clip.video.digest, clip.number)}.{suffix}'
        tag = f'"{key}"'
        try:
            descriptor = await self._cache.open(key, make)
        except JobError as error:
            raise RefusedError(422, 'unreadable', f'this cannot be shown: {error}') from None
        return _send(descriptor, request, tag, kind)

    async def video(self, request: Request) -> Response:
        """Send the file itself, or a range of it."""
        none_but(request.query_params.multi_items())
        clip = await run_sync(self._catalogue.video, request.path_params['id'])
        kind = await self._kind(clip)
        tag = f'"{video_id(clip.video.digest)}"'
        descriptor = await run_sync(open_indexed, clip.files, clip.roots)
        return _send(descriptor, request, tag, kind or 'application/octet-stream')


def build_app(search: VideoSearch, access: Optional[Access] = None,
              limits: Optional[Limits] = None) -> Any:
    """Return the application of ASGI that answers for an index.

    Args:
        search (VideoSearch): Taken over.
        access (Access, optional): Who may ask. Defaults to this machine.
        limits (Limits, optional): How much.
    """
    return SearchServer(search, access, limits).app


@contextlib.asynccontextmanager
async def _opened(clip: CatalogueClip) -> AsyncIterator[int]:
    """Open the file of a clip; in a thread, as a disk may take its time."""
    descriptor = await run_sync(open_indexed, clip.files, clip.roots)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _send(descriptor: int, request: Request, tag: str, kind: str) -> Response:
    try:
        return OpenFile(descriptor, request.headers, tag, kind, _MAX_AGE)
    except BaseException:
        os.close(descriptor)
        raise


@cache
def _asset_bytes(path: str) -> tuple[bytes, str]:
    content = (_PAGE / _ASSETS[path][0]).read_bytes()
    return content, f'"{hashlib.blake2b(content, digest_size=16).hexdigest()}"'


async def _asset(request: Request) -> Response:
    """Send a file of the page."""
    path = request.url.path
    content, tag = _asset_bytes(path)
    headers = {'etag': tag, 'cache-control': 'no-cache'}
    if is_known(request.headers.get('if-none-match'), tag):
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=_ASSETS[path][1])


def _json(document: Mapping[str, Any], status: int = 200) -> Response:
    return JSONResponse(document, status, headers={'cache-control': 'no-store'})
