"""Search by sentence over one's own videos: see :class:`VideoSearch`."""
from .ranking import Moment
from .report import Report
from .video_search import VideoHit, VideoSearch

__all__ = ['Moment', 'Report', 'VideoHit', 'VideoSearch']
