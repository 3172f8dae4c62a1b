"""The server: connections, and what is printed when it starts."""
import asyncio
import contextlib
import logging
import resource
import socket
from collections.abc import Callable
from functools import partial
from typing import Any, Optional

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from ..video_search import VideoSearch
from .app import SearchServer
from .guard import Access
from .limits import Limits

# Seconds that answers may take when the server ends.
_LAST_SECONDS = 3
# Connections above the bound that are told so; further ones are closed at once, so that there
# are files left to be opened.
_REFUSED_POLITELY = 32
# Files that a process may have open, where the system would allow it fewer.
_OPEN_FILES = 4096


class PunctualProtocol(H11Protocol):
    """HTTP of clients that have to send and take in time; uvicorn would wait for ever.

    Args:
        *args (Any): Of uvicorn.
        limits (Limits): With ``head_seconds`` and ``stall_seconds``.
        **kwargs (Any): Of uvicorn.
    """

    def __init__(self, *args: Any, limits: Limits, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits = limits
        self._sending: Optional[asyncio.TimerHandle] = None  # when the client has to have sent
        self._taking: Optional[asyncio.TimerHandle] = None  # or taken something

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Begin to wait for a request."""
        super().connection_made(transport)
        if len(self.connections) > self._limits.connections + _REFUSED_POLITELY:
            transport.abort()
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take a part of a request."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Begin to wait for the next one."""
        super().on_response_complete()
        self._watch()

    def pause_writing(self) -> None:
        """Begin to wait until the client takes what there is."""
        super().pause_writing()
        self._taking = self.loop.call_later(self._limits.stall_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on sending."""
        super().resume_writing()
        self._taking = _stopped(self._taking)

    def connection_lost(self, exc: Optional[Exception]) -> None:
        """Wait no longer."""
        super().connection_lost(exc)
        self._sending, self._taking = _stopped(self._sending), _stopped(self._taking)

    def _watch(self) -> None:
        """Wait while no request is being answered; parts of a request give no more time."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._sending = _stopped(self._sending)
        elif self._sending is None:
            self._sending = self.loop.call_later(self._limits.head_seconds, self.transport.abort)


def _stopped(timer: Optional[asyncio.TimerHandle]) -> None:
    """Stop a timer, if there is one."""
    if timer is not None:
        timer.cancel()


def make_server(application: SearchServer, access: Access, limits: Limits,
                ready: Optional[Callable] = None) -> uvicorn.Server:
    """Return a server that is not yet running.

    Args:
        application (SearchServer): What answers.
        access (Access): Where it listens, and who may ask.
        limits (Limits): Of connections.
        ready (Callable, optional): Called when it listens.
    """
    config = uvicorn.Config(
        application.app, host=access.host.strip('[]'), port=access.port, ws='none',
        loop='asyncio', lifespan='on', log_config=None, access_log=False, proxy_headers=False,
        server_header=False, http=partial(PunctualProtocol, limits=limits),
        limit_concurrency=limits.connections, h11_max_incomplete_event_size=limits.head_bytes,
        timeout_keep_alive=int(limits.head_seconds), timeout_graceful_shutdown=_LAST_SECONDS)
    for name in ('uvicorn', 'uvicorn.error'):  # strangers' malformed requests are no news
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return _Server(config, ready)


class _Server(uvicorn.Server):
    """Tells when it listens."""

    def __init__(self, config: uvicorn.Config, ready: Optional[Callable]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: Optional[list[socket.socket]] = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        if self.started and self._ready is not None:
            self._ready()


def links(access: Access) -> list[str]:
    """Return the addresses under which browsers reach a server."""
    hosts = [access.host if ':' not in access.host.strip('[]')
             else f'[{access.host.strip("[]")}]']
    if access.host.strip('[]') in ('0.0.0.0', '::'):
        hosts = ['127.0.0.1', socket.gethostname()]
    token = f'?token={access.token}' if access.token else ''
    return [f'http://{host}:{access.port}/{token}' for host in [*hosts, *access.names]]


def serve(search: VideoSearch, access: Access, limits: Optional[Limits] = None) -> None:
    """Serve an index until the process is interrupted.

    Args:
        search (VideoSearch): Taken over.
        access (Access): Where it listens, and who may ask.
        limits (Limits, optional): How much.

    Raises:
        OSError: If it cannot listen there.
    """
    limits = limits or Limits()
    least, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # then with fewer
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(least, min(_OPEN_FILES, most)), most))
    with listening(access) as listener:
        server = make_server(
            SearchServer(search, access, limits), access, limits,
            lambda: print('\n'.join(f'open {link}' for link in links(access)), flush=True))
        with contextlib.suppress(KeyboardInterrupt):  # which uvicorn raises again at its end
            server.run([listener])


def listening(access: Access) -> socket.socket:
    """Return a socket that listens.

    Raises:
        OSError: If it cannot, with what to do.
    """
    try:
        kind, _, _, _, address = socket.getaddrinfo(
            access.host.strip('[]'), access.port, type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE)[0]
        # '::' is all addresses, those of IPv4 among them
        is_every = address[0] == '::' and socket.has_dualstack_ipv6()
        return socket.create_server(address[:2], family=kind, backlog=256,
                                    dualstack_ipv6=is_every)
    except OSError as error:
        raise OSError(f"the server cannot listen on '{access.host}', port {access.port}: "
                      f'{error.strerror or error}; choose others by --host and --port') from error
