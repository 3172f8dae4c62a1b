"""A Milvus of one's own."""
import os
import signal
import socket
import subprocess
import time


class MilvusServer:
    """A server that can be killed and started again on what it had.

    Args:
        program (Path): The command `milvus-server`.
        folder (Path): Where it keeps its files.

    Attributes:
        port (int): On which it listens, always the same.
    """

    def __init__(self, program, folder):
        self._program, self._folder = program, folder
        self.port = _free_port()
        self._process = None

    def start(self, wait=True):
        """Start it."""
        command = [self._program, '--data', self._folder, '--proxy-port', str(self.port)]
        # it waits for the lease of the one that was killed, by default half a minute
        more = dict(COMMON_SESSION_TTL='5')
        if (self._folder / 'configs').exists():
            # the program that unpacked it would not take a port again so soon
            command = [self._folder / 'bin' / 'milvus', 'run', 'standalone']
            more.update(DEPLOY_MODE='STANDALONE', METRICS_PORT=str(_free_port()),
                        MILVUS_RUN_DIR=str(self._folder / 'run'),
                        LD_LIBRARY_PATH=str(self._folder / 'bin'))
        with (self._folder / 'out.txt').open('ab') as out:
            self._process = subprocess.Popen(
                command, cwd=self._folder, env={**os.environ, **more}, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        if wait:
            self.wait()

    def wait(self):
        """Wait until it answers."""
        import pymilvus
        end = time.monotonic() + 120
        while True:
            try:
                client = pymilvus.MilvusClient(f'http://127.0.0.1:{self.port}', timeout=2)
                client.list_collections(timeout=5)
                return client.close()
            except pymilvus.MilvusException:
                if time.monotonic() > end or self._process.poll() is not None:
                    raise
                time.sleep(0.5)

    def kill(self):
        """Kill it with all that it has started."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        while True:  # until nobody listens any more
            with socket.socket() as probe:
                if probe.connect_ex(('127.0.0.1', self.port)):
                    return
            time.sleep(0.05)


def _free_port():
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return free.getsockname()[1]
