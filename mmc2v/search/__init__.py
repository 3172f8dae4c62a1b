"""Search by sentence over one's own videos: see :class:`VideoSearch`."""
from .indexing import Report
from .ranking import Moment
from .video_search import VideoHit, VideoSearch

__all__ = ['Moment', 'Report', 'VideoHit', 'VideoSearch']
