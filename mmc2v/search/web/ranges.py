"""Files that are open, as answers: whole, or the part that was asked for."""
import asyncio
import os
import re
from collections.abc import Mapping
from typing import Any, Optional

import anyio.to_thread
from starlette.responses import Response

from .errors import RefusedError

_PART_BYTES = 2 ** 18
_RANGE = re.compile('bytes=([0-9]{0,18})-([0-9]{0,18})')


def asked_range(header: Optional[str], size: int) -> Optional[tuple[int, int]]:
    """Return first byte and the one after the last that a Range header asks for.

    Args:
        header (str, optional): Its value. Of several ranges, and what is none, nothing is taken:
            the whole is an answer to those as well.
        size (int): Of the file.

    Returns:
        tuple, optional: None for the whole file.

    Raises:
        RefusedError: If it asks for nothing that is there.
    """
    match = _RANGE.fullmatch((header or '').strip())
    if match is None or match.groups() == ('', ''):
        return None
    if match[1] == '':
        start, stop = max(0, size - int(match[2])), size
    else:
        start = int(match[1])
        stop = min(size, int(match[2]) + 1) if match[2] else size
        if match[2] and int(match[2]) < start:
            return None
    if start >= stop:
        raise RefusedError(416, 'range', 'the file has no such bytes',
                           content_range=f'bytes */{size}')
    return start, stop


def is_known(header: Optional[str], tag: str) -> bool:
    """Whether a client has this state already, by its If-None-Match header."""
    given = [part.strip().removeprefix('W/') for part in (header or '').split(',')]
    return tag in given or '*' in given


class OpenFile(Response):
    """An open file; its descriptor is closed with the answer.

    Args:
        descriptor (int): Of the file.
        request_headers (Mapping[str, str]): What was asked for.
        tag (str): That names the content, in quotes.
        media_type (str): Type of the content.
        max_age (int): Seconds that it may be kept without asking again.
    """

    def __init__(self, descriptor: int, request_headers: Mapping[str, str], tag: str,
                 media_type: str, max_age: int) -> None:
        super().__init__(media_type=media_type)
        self._descriptor = descriptor
        size = os.fstat(descriptor).st_size
        part = None
        if request_headers.get('if-range', tag) == tag:
            part = asked_range(request_headers.get('range'), size)
        self._start, self._stop = part or (0, size)
        self.status_code = 206 if part else 200
        self.headers['content-length'] = str(self._stop - self._start)
        self.headers['accept-ranges'] = 'bytes'
        self.headers['etag'] = tag
        self.headers['cache-control'] = f'private, max-age={max_age}, immutable'
        if part:
            self.headers['content-range'] = f'bytes {self._start}-{self._stop - 1}/{size}'
        if is_known(request_headers.get('if-none-match'), tag):
            self.status_code, self._stop = 304, self._start
            for name in ('content-length', 'content-range', 'content-type'):
                if name in self.headers:
                    del self.headers[name]

    async def __call__(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        """Send it part by part, so that a large file takes no memory."""
        gone = asyncio.create_task(_disconnected(receive))
        try:
            await send(dict(type='http.response.start', status=self.status_code,
                            headers=self.raw_headers))
            place = self._stop if scope['method'] == 'HEAD' else self._start
            while place < self._stop and not gone.done():
                part = await anyio.to_thread.run_sync(
                    os.pread, self._descriptor, min(_PART_BYTES, self._stop - place), place)
                if not part:  # it has become shorter: the client sees that the rest is missing
                    raise ConnectionError('the file has become shorter')
                place += len(part)
                await send(dict(type='http.response.body', body=part, more_body=True))
            await send(dict(type='http.response.body', body=b''))
        finally:
            gone.cancel()
            os.close(self._descriptor)


async def _disconnected(receive: Any) -> None:
    """Wait until the client has gone: what is sent then would be read for nobody."""
    while (await receive())['type'] != 'http.disconnect':
        pass
