"""Data sets, samplers and transforms."""
from .distinct_group_sampler import DistinctGroupBatchSampler
from .feature_text_dataset import FeatureTextDataset
from .transforms import *  # noqa: F403
from .video_text_dataset import VideoTextDataset

__all__ = ['DistinctGroupBatchSampler', 'FeatureTextDataset', 'VideoTextDataset']
