"""Requests that no honest client sends, made from a seed."""
import random
from typing import NamedTuple

_METHODS = [b'GET', b'GET', b'GET', b'POST', b'PUT', b'DELETE', b'PATCH', b'OPTIONS', b'TRACE',
            b'CONNECT', b'HEAD', b'PRI', b'get', b'G\xc3\x89T', b'X' * 300, b'', b'GET GET',
            b'PROPFIND', b'BREW']
_UP = [b'..', b'%2e%2e', b'%2E.', b'..%2f', b'%252e%252e', b'..\\', b'%5c..', b'..;',
       b'%c0%ae%c0%ae', b'%e0%80%ae.', b'....', b'%uff0e%uff0e',
       b'.%00.', b'%2e%2e%00', b'..%0d%0a', b'%ff%fe']
_PLACES = [b'etc/passwd', b'proc/self/environ', b'my.index', b'videos/plain.mp4', b'page.js',
           b'openapi.json', b'C:\\boot.ini', b'con', b'.git/config', b'model.pth']
_STARTS = [b'/', b'/api/', b'/api/clips/', b'/api/videos/', b'/page/', b'//', b'/api//clips/',
           b'/static/', b'/api/uploads/', b'\\', b'/./', b'/api/search/', b'/%2f', b'file:///']
_TEXTS = [b'', b'a', b'%00', b'%ff', b'%', b'%zz', b'%f0%9f%98%80', b'%ed%a0%80', b'a' * 600,
          b'%0d%0aSet-Cookie:x=1', b'<script>', b'\x27;drop table files;--', b'+', b'%20%09',
          b'${jndi:ldap://x}', b'{{7*7}}', b'NaN', b'-1', b'1e999', b'9' * 400, b'0x10', b'1_0',
          b'%EF%BC%91', b'inf', b'null', b'[]', b'..%2f..', b'%e2%80%ae', b'true']
_NAMES = [b'q', b'clip', b'upload', b'folder', b'min_length', b'max_length', b'per_video',
          b'offset', b'limit', b'token', b'Q', b'q[]', b'__proto__', b'%00', b'', b'play']
_RANGES = [b'bytes=0-', b'bytes=-1', b'bytes=-0', b'bytes=9-1', b'bytes=' + b'9' * 40 + b'-',
           b'bytes=0-0,1-1', b'bytes=' + b','.join(b'%d-' % n for n in range(900)), b'bytes=a-b',
           b'bytes=', b'=', b'bytes', b'items=0-1', b'bytes=0-' + b'9' * 19, b'bytes=--1',
           b'bytes=1-2-3', b'bytes= 0 - 1', b'bytes=\xff', b'bytes=0x0-0x9', b'bytes=+1-2']
_HEADERS = [b'Host: localhost', b'Host: evil.example', b'Host:', b'X-A: ' + b'a' * 9000,
            b'Content-Length: -1', b'Content-Length: 5, 6', b'Content-Length: 0x5',
            b'Content-Length: ' + b'9' * 300, b'Content-Length: +5',
            b'Content-Length: 1\r\nContent-Length: 2', b'Transfer-Encoding: chunked, gzip',
            b'Transfer-Encoding: xchunked',
            b'Transfer-Encoding: chunked\r\nContent-Length: 3',
            b'Upgrade: websocket\r\nConnection: Upgrade', b'Expect: 100-continue',
            b'Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings', b'Expect: 200-maybe',
            b' folded',
            b'X\x00Y: 1', b'X Y: 1', b': 1',
            b'X-\xc3\xa9: \xff\xfe', b'X: \x00', b'X: a\rb', b'X: a\nb',
            b'Cookie: ' + b'a=b; ' * 500,
            b'Cookie: mmc2v-8080=' + b'0' * 64, b'Authorization: Bearer ' + b'x' * 500,
            b'Authorization: Basic ' + b'=' * 50, b'If-None-Match: ' + b'"a",' * 800,
            b'If-None-Match: *', b'If-Range: \xff', b'If-Modified-Since: yesterday',
            b'Sec-Fetch-Site: cross-site', b'Origin: null', b'Origin: http://localhost:1',
            b'X-Forwarded-For: 1.2.3.4', b'X-Forwarded-Host: evil.example', b'X-File-Name: %ff%00',
            b'Accept-Encoding: gzip;q=nan', b'X-HTTP-Method-Override: DELETE', b'Range: bytes=0-1']
_VERSIONS = [b'HTTP/1.1', b'HTTP/1.1', b'HTTP/1.1', b'HTTP/1.0', b'HTTP/0.9', b'HTTP/2.0',
             b'HTTP/9', b'http/1.1', b'', b'HTTP/1.1 ', b'FTP/1.1', b'HTTP/1.10']


class Malformed(NamedTuple):
    """What a client sends; whether it has said all, so that it may wait for an answer."""

    data: bytes
    is_whole: bool


def malformed(number, clip, seed=0):
    """Yield requests.

    Args:
        number (int): Of them.
        clip (str): Id of a clip that is there, to be bent.
        seed (int): Of all random choices.
    """
    rng = random.Random(seed)
    kinds = [_traversal, _parameters, _ids, _ranges, _headers, _methods, _bodies, _noise]
    for place in range(number):
        yield kinds[place % len(kinds)](rng, clip.encode())


def _whole(method, target, *headers, body=b'', version=b'HTTP/1.1', host=b'Host: localhost'):
    head = b'\r\n'.join([b' '.join([method, target, version]), *filter(None, [host]), *headers,
                         b'Connection: close', b'', b''])
    return head + body


def _traversal(rng, clip):
    target = rng.choice(_STARTS) + b'/'.join(rng.choice(_UP) for _ in range(rng.randint(1, 9)))
    return Malformed(_whole(b'GET', target + b'/' + rng.choice(_PLACES)), True)


def _parameters(rng, clip):
    pairs = [rng.choice(_NAMES) + rng.choice([b'=', b'=', b'']) + rng.choice(_TEXTS)
             for _ in range(rng.choice([1, 1, 2, 3, 300]))]
    if rng.random() < 0.3:
        pairs.append(b'clip=' + _bent(rng, clip))
    path = rng.choice([b'/api/search', b'/api/search', b'/api/status', b'/', b'/api/clips/' + clip])
    return Malformed(_whole(b'GET', path + b'?' + rng.choice([b'&', b'&', b';']).join(pairs)), True)


def _bent(rng, text):
    """Change something of a text."""
    at, sign = rng.randrange(len(text)), bytes([rng.choice(b'0aAgG-./%~_9:')])
    return rng.choice([text[:at], text[:at] + sign + text[at + 1:], text + sign, text * 2,
                       text.upper(), text[:33] + b'9' * 30, text[:33] + b'-1', text[:33] + b'007',
                       text.replace(b'-', b'%2d'), b'0' * 32 + text[32:], text + b'%00'])


def _ids(rng, clip):
    path = rng.choice([b'/api/clips/%s', b'/api/clips/%s/thumbnail', b'/api/clips/%s/moment',
                       b'/api/videos/%s', b'/api/clips/%s/', b'/api/videos/%s/thumbnail'])
    return Malformed(_whole(rng.choice(_METHODS[:8]), path % _bent(rng, clip)), True)


def _ranges(rng, clip):
    path = rng.choice([b'/api/videos/' + clip[:32], b'/api/clips/%s/thumbnail' % clip])
    return Malformed(_whole(rng.choice([b'GET', b'HEAD']), path,
                            *(b'Range: ' + rng.choice(_RANGES) for _ in range(rng.randint(1, 2)))),
                     True)


def _headers(rng, clip):
    chosen = [rng.choice(_HEADERS) for _ in range(rng.randint(1, 4))]
    host = rng.choice([b'Host: localhost', b'', b'Host: localhost\r\nHost: localhost'])
    path = rng.choice([b'/', b'/api/status', b'/api/search?q=a', b'/api/clips/' + clip])
    return Malformed(_whole(b'GET', path, *chosen, host=host), False)


def _methods(rng, clip):
    target = rng.choice([b'/', b'*', b'localhost:80', b'http://evil.example/', b'',
                         b'/' + b'a' * 20000,
                         b'/api/uploads', b'/api/search?q=a', b'?', b'#', b'/\xff', b'/ /'])
    return Malformed(_whole(rng.choice(_METHODS), target, version=rng.choice(_VERSIONS)), False)


def _bodies(rng, clip):
    path = rng.choice([b'/api/uploads', b'/', b'/api/search?q=a', b'/nothing', b'/api/status?x=1'])
    method = rng.choice([b'POST', b'POST', b'GET', b'PUT'])
    if rng.random() < 0.5:
        body = rng.choice([b'zz\r\nx\r\n', b'-1\r\n', b'5\r\nab', b'ffffffffffffffff\r\n', b'\r\n',
                           b'0\r\n\r\nGET / HTTP/1.1\r\n\r\n',
                           b'1;' + b'a' * 9000 + b'\r\nx\r\n0\r\n\r\n'])
        return Malformed(_whole(method, path, b'Transfer-Encoding: chunked', body=body), False)
    size = rng.choice([0, 10, 10, 200_000])
    if path == b'/api/uploads':  # what is read in a process takes its time
        path += rng.choice([b'?x=1', b'/', b'?', b'%00'])
        path = path if path != b'/api/uploads?' or rng.random() < 0.1 else b'/api/upload'
    declared = rng.choice([size, size, size + 1000])
    return Malformed(_whole(method, path, b'Content-Length: %d' % declared,
                            body=b'\x47' * size), declared == size)


def _noise(rng, clip):
    return Malformed(rng.choice([
        rng.randbytes(rng.randint(1, 400)), b'\x16\x03\x01\x02\x00\x01\x00' + rng.randbytes(60),
        b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', b'\r\n' * 50, b'\0' * 100,
        b'GET / HTTP/1.1\nHost: localhost\n\n', b'GET /\r\n\r\n', b'SSH-2.0-x\r\n',
        b'A' * 70000, b'GET / HTTP/1.1\r\n' + b'X: y\r\n' * 4000,
        _whole(b'GET', b'/') + _whole(b'GET', b'/api/status') * 30,
        _whole(b'GET', b'/api/status').replace(b'\r\n', b'\n'), b'{"a": 1}']), False)
