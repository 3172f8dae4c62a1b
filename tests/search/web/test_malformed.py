"""5,000 requests that no honest client sends: each is answered or left, and nothing stays."""
import collections
import os
import re
import socket
import threading

import pytest

from .common import limits, serving, wait_for
from .malformed import malformed

# Seconds after which a server hangs.
_HANGS = 30


@pytest.fixture
def tense(library):
    """A server that does not wait long for what is not finished."""
    with serving(library, bounds=limits(head_seconds=2.0, upload_bytes=100_000)) as server:
        yield server


def answer_to(server, request):
    """Return the statuses that come; what is not whole is ended by the client."""
    with socket.create_connection(('127.0.0.1', server.port), timeout=_HANGS) as connection:
        found = b''
        try:
            connection.sendall(request.data)
            if not request.is_whole:
                connection.settimeout(0.02)
            while part := connection.recv(65536):
                found += part
        except (BrokenPipeError, ConnectionResetError):  # it has heard enough
            pass
        except TimeoutError:
            assert not request.is_whole, (request, found)
    return [int(status) for status in re.findall(rb'^HTTP/1\.1 (\d{3}) ', found, re.M)], found


def memory():
    with open('/proc/self/statm') as file:
        return int(file.read().split()[1]) * os.sysconf('SC_PAGE_SIZE')


def test_malformed_requests_neither_break_hang_nor_stay(tense, library, capfd):
    server = tense
    before = server.search(q='a red ring', limit=50)
    secrets = [str(library).encode(), b'root:', b'Traceback',
               (library / 'my.index').read_bytes()[:15]]
    counts, used = collections.Counter(), []
    for number, request in enumerate(malformed(5000, before[0]['id'])):
        if number in (1500, 4999):
            used.append((memory(), threading.active_count()))
        statuses, content = answer_to(server, request)
        counts.update(statuses or [0])
        assert not {500, 502, 504} & set(statuses), request
        assert not any(secret in content for secret in secrets), request
        if number % 500 == 0:
            assert server.search(q='a red ring', limit=50) == before
    assert server.search(q='a red ring', limit=50) == before
    assert counts.keys() >= {200, 206, 400, 404, 405, 416, 421, 304}, counts
    assert sum(counts[status] for status in counts if 400 <= status < 500) > 3000, counts
    assert counts[0] < 700, counts  # that were not finished
    assert used[1][0] - used[0][0] < 30 * 2 ** 20
    assert used[1][1] <= used[0][1] + 4
    captured = capfd.readouterr()
    assert 'Traceback' not in captured.err + captured.out
    wait_for(lambda: server.application._uploading == 0)  # the last client has just left
