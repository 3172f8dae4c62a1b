"""Hooks, optimizer parts and what the scripts share."""
from .hooks import ContrastiveBatchHook, EpochRandomnessHook, UndecodableVideosHook
from .optim_wrapper import AutocastOptimWrapper, RetrievalOptimWrapperConstructor
from .retrieval_picture import RetrievalPictureHook

__all__ = [
    'AutocastOptimWrapper', 'ContrastiveBatchHook', 'EpochRandomnessHook',
    'RetrievalOptimWrapperConstructor', 'RetrievalPictureHook', 'UndecodableVideosHook',
]
