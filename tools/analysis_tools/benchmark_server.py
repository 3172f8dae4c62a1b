"""Ask a server of search from many clients at once, and see how long they wait.

    python tools/analysis_tools/benchmark_server.py --index my.index --clients 32 --seconds 120

The server runs in a process of its own on this machine; each client waits for its answer before
it asks again. A question is a sentence that nobody has asked before (two of three), or one of a
few; every eighth request is a thumbnail.
"""
from __future__ import annotations

import http.client
import json
import random
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlencode

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1]))
from command_line import Parser, positive_int, run, whole_number

_WORDS = ['red', 'green', 'blue', 'yellow', 'ring', 'cross', 'square', 'star', 'moves', 'turns',
          'jumps', 'left', 'right', 'up', 'down', 'over', 'slowly', 'water', 'grass', 'street',
          'person', 'dog', 'child', 'then', 'again']
_STARTUP = 300  # seconds


class Client(threading.Thread):
    """Asks until the time is over.

    Attributes:
        waited (list[float]): Seconds of each question.
        pictures (list[float]): Of each thumbnail.
        faults (list[str]): Answers other than 200.
    """

    def __init__(self, port: int, number: int, end: float) -> None:
        super().__init__()
        self.waited: list[float] = []
        self.pictures: list[float] = []
        self.faults: list[str] = []
        self._port, self._rng, self._end = port, random.Random(number), end
        self._thumbnails = ['/api/status']

    def run(self) -> None:
        """Ask."""
        connection = http.client.HTTPConnection('127.0.0.1', self._port, timeout=60)
        while time.monotonic() < self._end:
            is_picture = self._rng.random() < 1 / 8
            path = self._rng.choice(self._thumbnails) if is_picture else self._question()
            start = time.monotonic()
            try:
                connection.request('GET', path)
                answer = connection.getresponse()
                content = answer.read()
            except OSError as error:
                self.faults.append(str(error))
                connection.close()
                continue
            (self.pictures if is_picture else self.waited).append(time.monotonic() - start)
            if answer.status != 200:
                self.faults.append(f'{answer.status} {content[:200]!r}')
            elif not is_picture:
                self._thumbnails = [hit['thumbnail'] for hit in json.loads(content)['results']]
        connection.close()

    def _question(self) -> str:
        words = self._rng.choices(_WORDS, k=6) if self._rng.random() < 2 / 3 else _WORDS[:3]
        return '/api/search?' + urlencode(dict(q=' '.join(words)))


def memory(process: int) -> float:
    """Return MiB that a process and its children hold, pages that they share divided."""
    total = 0.0
    for folder in Path('/proc').glob('[0-9]*'):
        try:
            status = (folder / 'status').read_text()
            parent = int(re.search(r'PPid:\s+(\d+)', status)[1])
            if process in (int(folder.name), parent, _parent(parent)):
                total += int(re.search(r'Pss:\s+(\d+)', (folder / 'smaps_rollup').read_text())[1])
        except (OSError, TypeError):  # it has ended
            continue
    return total / 1024


def _parent(process: int) -> int:
    try:
        return int(re.search(r'PPid:\s+(\d+)', Path(f'/proc/{process}/status').read_text())[1])
    except OSError:
        return 0


def started(index: Path, port: int) -> subprocess.Popen:
    """Start a server, and wait until it can be asked."""
    tool = Path(__file__).resolve().parents[1] / 'search.py'
    server = subprocess.Popen([sys.executable, str(tool), 'serve', '--index', str(index), '--port',
                               str(port)], stdout=subprocess.DEVNULL)
    end = time.monotonic() + _STARTUP
    while server.poll() is None and time.monotonic() < end:
        time.sleep(0.2)
        try:
            connection = http.client.HTTPConnection('127.0.0.1', port, timeout=5)
            connection.request('GET', '/api/status')
            if json.loads(connection.getresponse().read())['state'] == 'ready':
                return server
        except OSError:
            continue
    server.kill()
    raise ValueError(f"the server of '{index}' was not ready within {_STARTUP} s")


def ask_for(port: int, clients: int, seconds: float) -> list[Client]:
    """Let clients ask; return them when they have ended."""
    end = time.monotonic() + seconds
    asking = [Client(port, number, end) for number in range(clients)]
    for client in asking:
        client.start()
    for client in asking:
        client.join()
    return asking


def row(title: str, waited: list[float], seconds: float) -> str:
    """Return a line of the report."""
    p50, p99 = 1e3 * np.percentile(waited or [0], (50, 99))
    return (f'{title:10} {len(waited):7}  {len(waited) / seconds:6.1f} a second  p50 {p50:6.1f} ms'
            f'  p99 {p99:6.1f} ms  longest {1e3 * max(waited, default=0):6.1f} ms')


def main() -> None:
    """Measure, and print."""
    parser = Parser(__doc__)
    parser.add_argument('--index', type=Path, required=True, help='file of the index')
    parser.add_argument('--clients', type=positive_int, default=32, help='default 32')
    parser.add_argument('--seconds', type=positive_int, default=120, help='default 120')
    parser.add_argument('--port', type=whole_number(1, 65535), default=8099, help='default 8099')
    args = parser.parse_args()
    if not args.index.is_file():
        raise FileNotFoundError(f"there is no index '{args.index}'")
    server = started(args.index, args.port)
    try:
        ask_for(args.port, args.clients, 10)  # until all that is made once is there
        before = memory(server.pid)
        clients = ask_for(args.port, args.clients, args.seconds)
        after = memory(server.pid)
    finally:
        server.terminate()
        server.wait(30)
    faults = [fault for client in clients for fault in client.faults]
    print(row('questions', [x for client in clients for x in client.waited], args.seconds))
    print(row('thumbnails', [x for client in clients for x in client.pictures], args.seconds))
    print(f'{len(faults)} errors {faults[:3]}; memory {before:.0f} MiB before, {after:.0f} MiB '
          'after')


if __name__ == '__main__':
    run(main)
