"""What a client may ask of the server."""
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds of one server; the defaults suit a person's own machine.

    Attributes:
        query_chars (int): Of a sentence.
        page (int): Moments of one answer.
        depth (int): Moments that can be reached by scrolling.
        upload_bytes (int): Of a video that is the query.
        upload_rate (float): Bytes a second below which an upload counts as stalled, after a start
            of ``head_seconds``.
        uploads (int): At a time; what they are searched by is kept of the last 64.
        waiting_queries (int): That wait for the model.
        transcodes (int): Moments that are made playable at a time.
        waiting_media (int): Pictures and moments that wait to be made.
        requests (int): Of one client at a time.
        connections (int): Of all clients.
        head_bytes (int): Of a request without its body.
        head_seconds (float): In which a request has to arrive.
        stall_seconds (float): Without a byte taken, after which a client is left.
        picture_seconds (float): For making one picture.
        moment_seconds (float): For making one moment playable, or reading an upload.
        moment_length (float): Seconds of video that are made playable at most.
        cache_bytes (int): Of pictures and moments that are kept.
    """

    query_chars: int = 500
    page: int = 50
    depth: int = 1000
    upload_bytes: int = 512 * 2 ** 20
    upload_rate: float = 16e3
    uploads: int = 2
    waiting_queries: int = 256
    transcodes: int = 2
    waiting_media: int = 96
    requests: int = 64
    connections: int = 512
    head_bytes: int = 2 ** 14
    head_seconds: float = 10.0
    stall_seconds: float = 60.0
    picture_seconds: float = 20.0
    moment_seconds: float = 90.0
    moment_length: float = 60.0
    cache_bytes: int = 2 ** 30
