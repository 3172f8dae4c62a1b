"""Who is answered at all, and what every answer carries: the outermost layer of the application."""
import hashlib
import hmac
import html
import ipaddress
import json
import re
import socket
import sys
import traceback
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional
from urllib.parse import parse_qsl, urlencode

import h11
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from ..records import UnusableIndexError
from .errors import RefusedError, unusable
from .limits import Limits

# The page needs nothing from elsewhere, and nobody may show it within a page of theirs.
POLICY = ("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
          "media-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
          "frame-ancestors 'none'; require-trusted-types-for 'script'")
HEADERS = {
    'content-security-policy': POLICY,
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    'referrer-policy': 'no-referrer',
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    'permissions-policy': 'camera=(), geolocation=(), microphone=(), payment=(), usb=()',
}
_HOST = re.compile(r'(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?')
_LOCAL_NAMES = ('localhost', '127.0.0.1', '[::1]')
_MIN_TOKEN = 16
# What a browser shows that may not have the page and its style.
_ERROR_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="color-scheme" content="light dark">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Find the moment</title><h1>Find the moment</h1><p>{}</p></html>
"""


@dataclass(frozen=True)
class Access:
    """Who may ask.

    Attributes:
        host (str): Address that is listened on.
        port (int): Port; also in the name of the cookie, which browsers share between ports.
        token (str, optional): What clients have to know; needed where others can reach the server.
        names (tuple[str, ...]): Further names by which browsers may call the server.

    Raises:
        ValueError: If others could ask without a token, or it can be guessed.
    """

    host: str = '127.0.0.1'
    port: int = 8080
    token: Optional[str] = field(default=None, repr=False)
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.token is None and not self.is_local:
            raise ValueError(f"'{self.host}' can be reached by others: give --token too, alone "
                             '(one is made up and printed) or with a secret of your own')
        if self.token is not None and not re.fullmatch('[A-Za-z0-9._~-]+', self.token):
            raise ValueError("a token is of letters, digits and '._~-', as it has to fit into a "
                             'link')
        if self.token is not None and len(self.token) < _MIN_TOKEN:
            raise ValueError(f'the token can be guessed: take at least {_MIN_TOKEN} characters')

    @property
    def is_local(self) -> bool:
        """Whether this machine alone can reach the server."""
        if self.host == 'localhost':
            return True
        try:
            return ipaddress.ip_address(self.host.strip('[]')).is_loopback
        except ValueError:
            return False

    @property
    def cookie(self) -> tuple[str, str]:
        """Name and value of the cookie that stands for the token, which cannot be told from it."""
        return f'mmc2v-{self.port}', hashlib.blake2b(
            b'mmc2v cookie', key=self.token.encode()[:64], digest_size=32).hexdigest()

    def allows_host(self, name: str) -> bool:
        """Whether a browser may call the server so.

        A page of a stranger whose name leads here, by rebinding, has the stranger's name. Addresses
        are nobody's, and where the server listens to others they may be any of this machine's.

        Args:
            name (str): Of a Host header, without the port.
        """
        name = name.lower().rstrip('.')
        if name in _LOCAL_NAMES or name in self.names or name == self.host.lower():
            return True
        if self.is_local:
            return False
        try:
            ipaddress.ip_address(name.strip('[]'))
            return True
        except ValueError:
            return name == socket.gethostname().lower()


class Guard:
    """Lets requests through that belong here; a layer of ASGI.

    Args:
        app (Any): What answers them.
        access (Access): Who may ask.
        limits (Limits): How much.
    """

    def __init__(self, app: Any, access: Access, limits: Limits) -> None:
        self._app, self._access, self._limits = app, access, limits
        self._running: Counter[str] = Counter()

    async def __call__(self, scope: dict, receive: Any, send: Any) -> None:
        """Answer, or refuse; whatever happens, no answer tells of the inside."""
        if scope['type'] != 'http':
            if scope['type'] == 'lifespan':
                await self._app(scope, receive, send)
            return
        answer = _Answer(send, as_page=scope['path'] == '/')
        client = (scope.get('client') or ('',))[0]
        self._running[client] += 1
        try:
            self._check_host(scope)
            if not await self._admitted(scope, answer):
                return
            if self._running[client] > self._limits.requests:
                raise RefusedError(429, 'too_many', 'too many requests at a time; let some '
                                   'end first', retry_after='1')
            await self._app(dict(scope, app=self._app), receive, answer)
        except RefusedError as error:
            await answer.refuse(error)
        except HTTPException as error:
            await answer.refuse(_of_starlette(error))
        except (ConnectionError, ClientDisconnect):
            pass  # the client has gone, or sees that something is missing; the connection is closed
        except (UnusableIndexError, OSError) as error:
            print(f'error: {error}', file=sys.stderr)
            await answer.refuse(unusable())
        except Exception:
            traceback.print_exc(file=sys.stderr)
            await answer.refuse(RefusedError(500, 'fault', 'a fault of the server; its terminal '
                                             'says more'))
        finally:
            self._running[client] -= 1
            if not self._running[client]:
                del self._running[client]

    def _check_host(self, scope: Mapping[str, Any]) -> None:
        """Refuse requests under names of others, and those that pages of others make."""
        host = _only(scope, b'host')
        match = _HOST.fullmatch(host or '')
        if match is None or not self._access.allows_host(match[1]):
            raise RefusedError(421, 'host', 'the server is not known under this name; use its '
                               'address, or start it with --name NAME')
        site = _only(scope, b'sec-fetch-site')
        opens_page = scope['path'] == '/' and scope['method'] in ('GET', 'HEAD')
        if site not in (None, 'same-origin', 'none') and not opens_page:
            raise RefusedError(403, 'foreign', 'pages of others may not use this server')
        origin = _only(scope, b'origin')
        if origin is not None and origin.partition('://')[2] != host and not opens_page:
            raise RefusedError(403, 'foreign', 'pages of others may not use this server')

    async def _admitted(self, scope: Mapping[str, Any], answer: '_Answer') -> bool:
        """Whether the client knows the token; who comes by the printed link gets a cookie."""
        if self._access.token is None:
            return True
        name, value = self._access.cookie
        if scope['path'] == '/' and scope['method'] == 'GET':
            pairs = _pairs(scope)
            given = [text for key, text in pairs if key == 'token']
            if len(given) == 1 and _same(given[0], self._access.token):
                rest = urlencode([pair for pair in pairs if pair[0] != 'token'])
                await answer.redirect('/' + f'?{rest}' * bool(rest),
                                      f'{name}={value}; HttpOnly; SameSite=Lax; Path=/')
                return False
        scheme, _, given = (_only(scope, b'authorization') or '').partition(' ')
        if scheme.lower() == 'bearer' and _same(given, self._access.token):
            return True
        cookies = [part.strip().partition('=') for part in
                   ';'.join(_all(scope, b'cookie')).split(';')]
        if any(key == name and _same(text, value) for key, _, text in cookies):
            return True
        raise RefusedError(401, 'token', 'open the link that the server printed when it started: '
                           'it has the token', www_authenticate='Bearer')


def _of_starlette(error: HTTPException) -> RefusedError:
    """Return what is answered at unknown addresses and to unknown methods."""
    code, message = {404: ('unknown', 'there is nothing at this address'),
                     405: ('method', 'this address takes other methods')}.get(
                         error.status_code, ('request', 'the request cannot be understood'))
    return RefusedError(error.status_code, code, message, **dict(error.headers or {}))


class _Answer:
    """Sends an answer with the headers of all answers.

    Args:
        send (Any): Of ASGI.
        as_page (bool): Errors are for people, as a browser shows them.
    """

    def __init__(self, send: Any, as_page: bool) -> None:
        self._send, self._as_page, self._has_begun = send, as_page, False

    async def __call__(self, message: dict) -> None:
        if message['type'] == 'http.response.start':
            self._has_begun = True
            message = dict(message, headers=[
                *message.get('headers', ()),
                *((name.encode(), value.encode()) for name, value in HEADERS.items())])
        try:
            await self._send(message)
        except h11.LocalProtocolError as error:  # the client broke the protocol meanwhile
            raise ConnectionError(str(error)) from error

    async def refuse(self, error: RefusedError) -> None:
        """Answer by an error, if nothing was answered yet."""
        body, kind = json.dumps(error.document), 'application/json'
        if self._as_page:
            text = html.escape(str(error))
            body = _ERROR_PAGE.format(text[:1].upper() + text[1:])
            kind = 'text/html; charset=utf-8'
        await self._whole(error.status, body.encode(), {'content-type': kind, **error.headers})

    async def redirect(self, place: str, cookie: str) -> None:
        """Send the client elsewhere, with a cookie."""
        await self._whole(303, b'', {'location': place, 'set-cookie': cookie})

    async def _whole(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        if self._has_begun:
            return
        every = {'cache-control': 'no-store', 'content-length': str(len(body)), **headers}
        await self(dict(type='http.response.start', status=status, headers=[
            (name.encode(), value.encode('latin-1')) for name, value in every.items()]))
        await self(dict(type='http.response.body', body=body))


def _all(scope: Mapping[str, Any], name: bytes) -> list[str]:
    """Return all headers of a name."""
    return [value.decode('latin-1') for key, value in scope['headers'] if key == name]


def _only(scope: Mapping[str, Any], name: bytes) -> Optional[str]:
    """Return the one header of a name.

    Raises:
        RefusedError: If there are several.
    """
    values = _all(scope, name)
    if len(values) > 1:
        raise RefusedError(400, 'header', f'the header {name.decode()} comes {len(values)} times')
    return values[0] if values else None


def _pairs(scope: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return names and values of the query of an address."""
    return parse_qsl(scope['query_string'].decode('latin-1'), keep_blank_values=True)


def _same(given: str, right: str) -> bool:
    """Compare in a time that tells nothing of how much is right."""
    return hmac.compare_digest(given.encode('utf-8', 'replace'), right.encode())


def host_names(names: Sequence[str]) -> Iterable[str]:
    """Yield names as Host headers have them.

    Raises:
        ValueError: If one is none.
    """
    for name in names:
        if not _HOST.fullmatch(name) or ':' in name.strip('[]').replace('::', ''):
            raise ValueError(f"'{name}' is no name of a host; give it without scheme and port")
        yield name.lower()
