"""Hooks, optimizer parts and what the scripts share."""
from .best_and_last import BestAndLastHook
from .checkpoints import AtomicCheckpointHook
from .evaluation_progress import EvaluationProgressHook
from .gradient_cache import GradientCacheIterTrainLoop, GradientCacheTrainLoop
from .hooks import ContrastiveBatchHook, EpochRandomnessHook, UndecodableVideosHook
from .loader_share import LoaderShareHook
from .optim_wrapper import (
    AutocastOptimWrapper,
    Float16OptimWrapper,
    RetrievalOptimWrapperConstructor,
)
from .query_bank import QueryBankHook
from .retrieval_picture import RetrievalPictureHook
from .split_overlap import SplitOverlapHook
from .warmup_cosine import WarmupCosineLR

__all__ = [
    'AtomicCheckpointHook', 'AutocastOptimWrapper', 'BestAndLastHook', 'ContrastiveBatchHook',
    'EpochRandomnessHook', 'EvaluationProgressHook', 'Float16OptimWrapper',
    'GradientCacheIterTrainLoop', 'GradientCacheTrainLoop', 'LoaderShareHook', 'QueryBankHook',
    'RetrievalOptimWrapperConstructor', 'RetrievalPictureHook', 'SplitOverlapHook',
    'UndecodableVideosHook', 'WarmupCosineLR',
]
