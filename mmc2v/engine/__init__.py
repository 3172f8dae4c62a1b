"""Hooks and optimizer parts."""
from .hooks import ContrastiveBatchHook, EpochRandomnessHook, UndecodableVideosHook
from .optim_wrapper import AutocastOptimWrapper, RetrievalOptimWrapperConstructor

__all__ = [
    'AutocastOptimWrapper', 'ContrastiveBatchHook', 'EpochRandomnessHook',
    'RetrievalOptimWrapperConstructor', 'UndecodableVideosHook',
]
