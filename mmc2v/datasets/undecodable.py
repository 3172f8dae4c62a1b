"""What stands in for a test video that cannot be decoded, so that the test set stays whole."""
from collections.abc import Callable, Iterable

from mmc2v.video import VideoDecodeError


def blank_item(pipeline: Callable[[dict], dict], info: dict, reason: str,
               others: Iterable[str]) -> dict:
    """Make an item of a video that cannot be decoded, with captions and zeros for frames.

    Args:
        pipeline (Callable): Makes an item of what is known of it.
        info (dict): What is known of the video.
        reason (str): Why it cannot be decoded; the data sample carries it as ``undecodable``.
        others (Iterable[str]): Other videos; the first that can be decoded lends the shape of its
            frames, which the pipeline alone knows.

    Raises:
        VideoDecodeError: If none of the others can be decoded.
    """
    for filename in others:
        try:
            item = pipeline(dict(info, filename=filename, undecodable=reason))
        except VideoDecodeError:
            continue
        item['inputs']['frames'].zero_()
        item['data_samples'].set_metainfo(dict(filename=info['filename']))
        return item
    raise VideoDecodeError(info['filename'], f'{reason}; nor can any other video of the set')
