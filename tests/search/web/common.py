"""Videos of many kinds, their index, and servers of it that run in a thread."""
import contextlib
import http.client
import json
import threading
from fractions import Fraction
from urllib.parse import urlencode, urlsplit

import av
import numpy as np

from mmc2v.search.web import Access, Limits
from mmc2v.search.web.app import SearchServer
from mmc2v.search.web.server import listening, make_server

from ..common import open_search, wait_for, write_model

# Colours that follow each other, one a second: what is shown says at which second one is.
COLOURS = [(200, 30, 30), (30, 180, 30), (40, 60, 210), (200, 190, 30), (180, 40, 190),
           (30, 180, 190), (230, 120, 20), (120, 120, 120), (110, 70, 30), (240, 240, 240)]


def write_colours(path, seconds=8, first=0, codec='libx264', sound=None, size=(96, 160), fps=10,
                  **options):
    """Write a video that changes its colour every second."""
    with av.open(str(path), 'w') as container:
        stream = container.add_stream(codec, rate=fps)
        stream.height, stream.width = size
        stream.pix_fmt = 'yuv420p'
        stream.codec_context.thread_count = 1
        if 'x26' in codec:
            options = {'preset': 'ultrafast', 'g': '10', **options}
        stream.options = options
        voice = container.add_stream(sound, rate=48000) if sound else None
        for number in range(seconds * fps):
            image = np.empty((*size, 3), np.uint8)
            image[:] = COLOURS[(first + number // fps) % len(COLOURS)]
            image[:8, :4 * (1 + number % fps)] = 255  # no two frames of a second are the same
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format='rgb24')))
        container.mux(stream.encode())
        for number in range(seconds * 48000 // 1024) if voice else ():
            wave = np.sin(np.arange(1024) * 0.05 * (1 + first)).astype(np.float32)[None] * 0.3
            frame = av.AudioFrame.from_ndarray(np.repeat(wave, 2, 0), 'fltp', 'stereo')
            frame.sample_rate, frame.pts = 48000, number * 1024
            frame.time_base = Fraction(1, 48000)
            container.mux(voice.encode(frame))
        if voice:
            container.mux(voice.encode())


def write_library(folder):
    """Write a model, and videos of which browsers play some."""
    write_model(folder)
    videos = folder / 'videos'
    (videos / 'holidays').mkdir(parents=True)
    write_colours(videos / 'plain.mp4', sound='aac')
    write_colours(videos / 'holidays' / 'sea.mp4', first=4, seconds=6)
    write_colours(videos / 'holidays' / 'hevc.mp4', first=2, codec='libx265', sound='aac',
                  **{'x265-params': 'log-level=error'})
    write_colours(videos / 'old.avi', first=6, codec='mpeg4', seconds=5)
    write_colours(videos / 'stream.mkv', first=3, seconds=3)
    return videos


def index(folder, *roots):
    """Index folders in this process."""
    with open_search(folder) as search:
        return search.add(*(roots or [folder / 'videos']), workers=1)


def limits(**changes):
    """Limits of a server that is not in a hurry, as on a machine with other work."""
    return Limits(**{'picture_seconds': 120, 'moment_seconds': 120, **changes})


class Server:
    """A server that runs, and a client of it.

    Attributes:
        url (str): Without a slash at its end.
        application (SearchServer): What it runs.
    """

    def __init__(self, search, access=None, bounds=None, port=0):
        given = access or Access()
        with listening(Access(given.host, port, given.token)) as listener:
            self.port = listener.getsockname()[1]
            self.listener = listener.dup()
        access = Access(given.host, self.port, given.token, given.names)
        self.url = f'http://127.0.0.1:{self.port}'
        bounds = bounds or limits()
        self.application = SearchServer(search, access, bounds)
        self.server = make_server(self.application, access, bounds)
        self.thread = threading.Thread(target=self.server.run, args=([self.listener],))

    def __enter__(self):
        self.thread.start()
        wait_for(lambda: self.server.started)
        return self

    def __exit__(self, *error):
        self.server.should_exit = True
        self.thread.join(30)
        self.listener.close()
        assert not self.thread.is_alive()

    def ask(self, path, method='GET', body=None, headers=(), **parameters):
        """Return status, headers in small letters, and body; as a document where it is one."""
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=150)
        with contextlib.closing(connection):
            query = f'?{urlencode(parameters)}' if parameters else ''
            connection.request(method, path + query, body, dict(headers))
            answer = connection.getresponse()
            content = answer.read()
            found = {name.lower(): value for name, value in answer.getheaders()}
        is_json = found.get('content-type') == 'application/json'
        return answer.status, found, json.loads(content) if is_json and content else content

    def search(self, **parameters):
        """Return moments that are found."""
        status, _, document = self.ask('/api/search', **parameters)
        assert status == 200, document
        return document['results']

    def is_ready(self):
        return self.ask('/api/status')[2]['state'] == 'ready'


@contextlib.contextmanager
def serving(folder, access=None, bounds=None, until='ready', port=0):
    """Run a server of an index."""
    with Server(open_search(folder), access, bounds, port) as server:
        token = {'authorization': f'Bearer {access.token}'} if access and access.token else {}
        wait_for(lambda: server.ask('/api/status', headers=token)[2]['state'] == until)
        yield server


def host_of(url):
    return urlsplit(url).netloc
