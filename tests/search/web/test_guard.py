"""Who is answered, and what strangers, pages of others and slow clients get."""
import contextlib
import json
import os
import re
import signal
import socket
import tempfile
import threading
import time

import pytest

from mmc2v.search.web import Access, host_names, processes
from mmc2v.search.web.cache import BoundedCache
from mmc2v.search.web.guard import HEADERS
from mmc2v.search.web.server import links, listening

from .common import limits, serving, wait_for

TOKEN = 'a-secret-of-24-letters..'


def code_of(answer):
    return answer[0], answer[2]['error']['code']


@pytest.mark.parametrize('host', ['evil.example', 'evil.example:8080', '10.0.0.1', '0x7f.1',
                                  'localhost.evil.example', '', '127.0.0.1@evil', 'a b', '[::2]',
                                  'localhost:', '127.0.0.1:80:80', '\xe9'])
def test_other_names_are_refused_as_rebinding_uses_them(server, host):
    assert code_of(server.ask('/api/status', headers={'Host': host})) == (421, 'host')
    assert server.ask('/', headers={'Host': host})[0] == 421


@pytest.mark.parametrize('host', ['localhost', 'LOCALHOST:1', '127.0.0.1', '[::1]:80',
                                  'localhost.'])
def test_own_names_are_answered(server, host):
    assert server.ask('/api/status', headers={'Host': host})[0] == 200


def test_pages_of_others_can_neither_read_nor_ask(server):
    for site in ('cross-site', 'same-site'):
        headers = {'Sec-Fetch-Site': site}
        assert code_of(server.ask('/api/status', headers=headers)) == (403, 'foreign')
        assert server.ask('/', headers=headers)[0] == 200  # a link that somebody follows
    other = {'Origin': 'http://evil.example'}
    assert code_of(server.ask('/api/uploads', 'POST', b'x', other)) == (403, 'foreign')
    same = {'Origin': server.url}
    assert code_of(server.ask('/api/uploads', 'POST', b'x', same)) == (422, 'unreadable')
    for method in ('GET', 'OPTIONS'):
        headers = server.ask('/api/status', method, headers=same)[1]
        assert not [name for name in headers if name.startswith('access-control')]


def test_every_answer_says_what_a_browser_may_do_with_it(server):
    for path, method in (('/', 'GET'), ('/api/status', 'GET'), ('/nothing', 'GET'),
                         ('/api/search', 'GET'), ('/', 'DELETE')):
        headers = server.ask(path, method)[1]
        assert {name: headers.get(name) for name in HEADERS} == HEADERS
    policy = HEADERS['content-security-policy']
    assert "default-src 'none'" in policy
    assert not re.search(r'unsafe|http|\*|data:|blob:', policy)


def test_others_need_the_token(library):
    access = Access('0.0.0.0', token=TOKEN, names=('films.example',))
    with serving(library, access) as server:
        assert code_of(server.ask('/api/status')) == (401, 'token')
        for path in ('/', '/page.js', '/api/search?q=a', '/?token=wrong', '/nothing',
                     f'/api/status?token={TOKEN}', f'/?token={TOKEN}&token={TOKEN}'):
            assert server.ask(path)[0] == 401, path
        status, headers, body = server.ask('/')
        assert headers['content-type'].startswith('text/html')  # people see it
        assert b'<p>Open the link that the server printed' in body
        status, headers, body = server.ask(f'/?q=a+dog&token={TOKEN}&folder=a%26b')
        assert (status, headers['location'], body) == (303, '/?q=a+dog&folder=a%26b', b'')
        cookie, *flags = headers['set-cookie'].split('; ')
        assert flags == ['HttpOnly', 'SameSite=Lax', 'Path=/']
        assert TOKEN not in cookie
        assert server.ask('/api/status', headers={'Cookie': f'other=1; {cookie}'})[0] == 200
        assert server.ask('/api/status', headers={'Cookie': cookie + '0'})[0] == 401
        assert server.ask('/api/status', headers={'Authorization': f'Bearer {TOKEN}'})[0] == 200
        own = {'Authorization': f'bearer {TOKEN}'}
        assert server.ask('/api/status', headers=dict(own, Host='films.example'))[0] == 200
        assert server.ask('/api/status', headers=dict(own, Host='192.168.7.7:99'))[0] == 200
        assert server.ask('/api/status', headers=dict(own, Host='evil.example'))[0] == 421


def test_access_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match='give --token too'):
        Access('0.0.0.0')
    with pytest.raises(ValueError, match='can be guessed'):
        Access(token='short')
    with pytest.raises(ValueError, match='fits into a link|fit into a link'):
        Access(token='a secret of 24 letters&')
    with pytest.raises(ValueError, match='no name of a host'):
        list(host_names(['http://films.example']))
    assert [Access(host).is_local for host in ('127.0.0.1', '::1', 'localhost', '127.9.9.9')] == [
        True] * 4
    assert links(Access('::1', 81)) == ['http://[::1]:81/']
    assert f'http://127.0.0.1:8080/?token={TOKEN}' in links(Access('0.0.0.0', token=TOKEN))
    assert TOKEN not in repr(Access(token=TOKEN))


def raw(server, data, seconds=20):
    """Send bytes, and return all that comes back until the server closes."""
    with socket.create_connection(('127.0.0.1', server.port), timeout=seconds) as connection:
        connection.sendall(data)
        return read_all(connection)


def read_all(connection):
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b''.join(parts)


def test_clients_that_do_not_finish_are_left(library):
    with serving(library, bounds=limits(head_seconds=0.6, upload_rate=1e6)) as server:
        host = b'Host: localhost\r\n'
        unfinished = [b'', b'GET /', b'GET / HTTP/1.1\r\n' + host + b'X-A: ']
        opened = [socket.create_connection(('127.0.0.1', server.port)) for _ in unfinished]
        for connection, data in zip(opened, unfinished):
            connection.settimeout(15)
            connection.sendall(data)
        # one that sends a little now and then gets no more time
        dripping = socket.create_connection(('127.0.0.1', server.port), timeout=15)
        for _ in range(12):
            try:
                dripping.sendall(b'G')
            except OSError:
                break
            time.sleep(0.1)
        for connection in (*opened, dripping):
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(100) == b''
            connection.close()
        answer = raw(server, b'POST /api/uploads HTTP/1.1\r\n' + host
                     + b'Content-Length: 1000000\r\n\r\nabc')
        assert answer.startswith(b'HTTP/1.1 408 ')
        assert server.ask('/api/status')[0] == 200


def test_clients_that_take_nothing_are_left(library, tmp_path):
    with serving(library, bounds=limits(stall_seconds=0.5)) as server:
        big = tmp_path / 'big'
        with big.open('wb') as file:
            file.truncate(2 ** 28)
        # what the library holds would fit into the buffers of a connection
        number, cache = server.search(q='a', limit=1)[0]['id'], server.application._cache
        os.replace(big, cache._path(f'{number}.jpg'))
        cache._sizes[f'{number}.jpg'] = 2 ** 28
        before = len(os.listdir('/proc/self/fd'))
        connection = socket.create_connection(('127.0.0.1', server.port), timeout=30)
        connection.sendall(f'GET /api/clips/{number}/thumbnail HTTP/1.1\r\nHost: localhost\r\n\r\n'
                           .encode())
        wait_for(lambda: len(server.server.server_state.connections) == 0)
        connection.close()
        wait_for(lambda: len(os.listdir('/proc/self/fd')) <= before)


def test_uploads_requests_and_queries_have_bounds(library):
    bounds = limits(upload_bytes=1000, requests=3, query_chars=20, uploads=1)
    with serving(library, bounds=bounds) as server:
        assert code_of(server.ask('/api/uploads', 'POST', b'x' * 1001)) == (413, 'too_large')
        chunked = (b'POST /api/uploads HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked'
                   b'\r\n\r\n' + b'100\r\n' + b'x' * 256 + b'\r\n')
        with socket.create_connection(('127.0.0.1', server.port), timeout=30) as connection:
            connection.sendall(chunked)
            wait_for(lambda: server.application._uploading == 1)
            assert code_of(server.ask('/api/uploads', 'POST', b'x')) == (503, 'busy')
            connection.sendall(3 * (b'100\r\n' + b'x' * 256 + b'\r\n'))
            assert connection.recv(65536).startswith(b'HTTP/1.1 413 ')
        assert server.ask('/api/search', q='a' * 20)[0] == 200
        assert code_of(server.ask('/api/search', q='a' * 21)) == (400, 'parameter')
        waiting = [socket.create_connection(('127.0.0.1', server.port)) for _ in range(3)]
        wait_for(lambda: server.application._uploading == 0)
        for connection in waiting:  # three that are being answered
            connection.sendall(chunked)
        wait_for(lambda: server.application._uploading == 1)
        for connection in waiting:
            connection.close()
        wait_for(lambda: server.application._uploading == 0)
        assert server.ask('/api/status')[0] == 200


def test_a_client_has_so_many_requests_at_a_time(library):
    with serving(library, bounds=limits(requests=4, uploads=10)) as server:
        body = (b'POST /api/uploads HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n')
        opened = [socket.create_connection(('127.0.0.1', server.port)) for _ in range(4)]
        for connection in opened:
            connection.sendall(body)
        wait_for(lambda: server.application._uploading == 4)
        status, headers, document = server.ask('/api/status')
        assert (status, document['error']['code']) == (429, 'too_many')
        assert headers['retry-after'] == '1'
        for connection in opened:
            connection.close()
        wait_for(lambda: server.ask('/api/status')[0] == 200)


def test_connections_have_a_bound_and_leave_files_to_be_opened(library):
    with serving(library, bounds=limits(connections=4)) as server:
        connections = server.server.server_state.connections
        opened = [socket.create_connection(('127.0.0.1', server.port), timeout=30)
                  for _ in range(60)]
        ended = 0
        for connection in opened[40:]:  # neither answered nor kept
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(1) == b''
            ended += 1
        assert ended == 20
        assert len(connections) <= 36
        opened[10].sendall(b'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
        assert opened[10].recv(100).startswith(b'HTTP/1.1 503 ')
        for connection in opened:
            connection.close()
        wait_for(lambda: not connections)
        assert server.ask('/api/status')[0] == 200


def test_sentences_that_wait_go_through_the_tower_together(library, monkeypatch):
    with serving(library) as server:
        shared = server.application.shared
        before, answers, waiting = shared.batches, [], []
        ask = shared.ask

        def noted(query):
            waiting.append(ask(query))
            return waiting[-1]
        monkeypatch.setattr(shared, 'ask', noted)
        with shared._search._mutex:  # the model is busy
            threads = [threading.Thread(target=lambda number=number: answers.append(server.ask(
                '/api/search', q=f'sentence {number // 2}')[0])) for number in range(24)]
            for thread in threads:
                thread.start()
            wait_for(lambda: len(waiting) == 24)
        for thread in threads:
            thread.join()
        assert answers == [200] * 24
        assert 1 <= shared.batches - before <= 2  # of 12 different sentences


def test_the_cache_keeps_within_its_bound_and_makes_what_many_want_once():
    import asyncio

    async def try_it():
        cache, made = BoundedCache(250), []

        async def make(path):
            made.append(path)
            await asyncio.sleep(0.02)
            with open(path, 'wb') as file:
                file.write(b'x' * 100)

        async def fail(path):
            raise ValueError('it cannot be made')
        folder = cache._folder.name
        for descriptor in await asyncio.gather(*(cache.open('a', make) for _ in range(9))):
            assert os.read(descriptor, 200) == b'x' * 100
            os.close(descriptor)
        assert len(made) == 1
        for key in 'bacad':  # b goes when c comes, as a was asked for since; then c
            os.close(await cache.open(key, make))
        assert (sorted(os.listdir(folder)), cache.bytes) == (['a', 'd'], 200)
        with pytest.raises(ValueError, match='cannot be made'):
            await cache.open('e', fail)
        os.unlink(os.path.join(folder, 'a'))  # somebody cleans up
        os.close(await cache.open('a', make))
        cache.close()
        assert not os.path.exists(folder)
    asyncio.run(try_it())


def test_what_a_killed_server_left_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    first = BoundedCache(100)
    left = tmp_path / 'mmc2v-cache-left'
    left.mkdir()
    (left / 'a.mp4').write_bytes(b'x')
    (tmp_path / 'mmc2v-cache-link').symlink_to(tmp_path / 'other')
    (tmp_path / 'other').mkdir()
    second = BoundedCache(100)
    assert not left.exists()
    assert {path.name for path in tmp_path.iterdir()} == {
        'mmc2v-cache-link', 'other', *(os.path.basename(cache._folder.name)
                                       for cache in (first, second))}
    first.close()
    second.close()
    assert {path.name for path in tmp_path.iterdir()} == {'mmc2v-cache-link', 'other'}


def _serve_a_job_without_end(pipe):
    processes.JOBS['begin'] = lambda: time.sleep(600)
    processes._GRACE = 0.2
    processes._serve(pipe)


def test_a_job_ends_although_nobody_ends_it():
    # not a fork of this process: that has threads of servers, and what they hold nobody gives back
    ours, theirs = processes.CONTEXT.Pipe()
    process = processes.CONTEXT.Process(target=_serve_a_job_without_end, args=(theirs,))
    process.start()
    theirs.close()
    try:
        assert ours.poll(60)
        assert ours.recv_bytes() == b'ready'
        ours.send_bytes(json.dumps(['begin', 0.1, False]).encode())
        process.join(60)
        assert process.exitcode == -signal.SIGALRM
    finally:
        process.kill()


def test_all_addresses_are_those_of_both_kinds():
    if not socket.has_dualstack_ipv6():
        pytest.skip('this system keeps IPv4 and IPv6 apart')
    with listening(Access('::', 0, TOKEN)) as listener:
        port = listener.getsockname()[1]
        socket.create_connection(('127.0.0.1', port), timeout=20).close()


def test_errors_tell_no_paths(server, library):
    for path in ('/api/clips/../../etc/passwd', '/etc/passwd', '/api/videos/%2e%2e%2fmy.index',
                 '/api/clips/0-0', f'/api/videos/{"0" * 32}', '/api/search?q=%ff'):
        status, headers, document = server.ask(path)
        assert 400 <= status < 500, path
        assert headers['cache-control'] == 'no-store'
        text = json.dumps(document)
        assert str(library) not in text
        assert 'Traceback' not in text
