"""The command that serves."""
import http.client
import re
import signal
import socket
import subprocess
import sys

from ...tiny import ROOT
from ...tools.test_command_lines import run


def serve(library, *args, code=1):
    found, said, shown = run('search.py', 'serve', '--index', library / 'my.index', *args)
    assert found == code
    return said + shown


def test_what_cannot_be_served_is_one_line(library, tmp_path):
    assert "'0.0.0.0' can be reached by others: give --token" in serve(library, '--host', '0.0.0.0')
    assert 'the token can be guessed' in serve(library, '--token', 'abc')
    assert "'a/b' is no name of a host" in serve(library, '--name', 'a/b')
    assert 'there is no index' in run('search.py', 'serve', '--index', tmp_path / 'no.index')[1]
    with socket.create_server(('127.0.0.1', 0)) as taken:
        port = taken.getsockname()[1]
        assert f"cannot listen on '127.0.0.1', port {port}" in serve(library, '--port', port)
    assert 'from 1 to 65535' in serve(library, '--port', '70000')


def test_it_starts_prints_its_link_and_ends_when_interrupted(library):
    with socket.create_server(('127.0.0.1', 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, ROOT / 'tools' / 'search.py', 'serve', '--index', library / 'my.index',
         '--port', str(port), '--token'], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, cwd=ROOT)
    try:
        link = server.stdout.readline()
        token = re.fullmatch(rf'open http://127\.0\.0\.1:{port}/\?token=([\w-]{{32}})\n', link)[1]
        connection = http.client.HTTPConnection('127.0.0.1', port, timeout=150)
        for headers, status in (({}, 401), ({'Authorization': f'Bearer {token}'}, 200)):
            connection.request('GET', '/api/status', headers=headers)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == status
        connection.close()
    finally:
        server.send_signal(signal.SIGINT)
        rest = server.communicate(timeout=150)[0]
    assert 'Traceback' not in rest
