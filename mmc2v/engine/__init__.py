"""Hooks and optimizer parts."""
from .bert_adam import BertAdam
from .checkpoint.atomic_checkpoint import AtomicCheckpointHook
from .clip4clip_cosine import CLIP4ClipCosineLR
from .gradient_cache import GradientCacheIterTrainLoop, GradientCacheTrainLoop
from .hooks.best_and_last import BestAndLastHook
from .hooks.contrastive_batch import ContrastiveBatchHook
from .hooks.epoch_randomness import EpochRandomnessHook
from .hooks.evaluation_progress import EvaluationProgressHook
from .hooks.loader_share import LoaderShareHook
from .hooks.query_bank import QueryBankHook
from .hooks.retrieval_picture import RetrievalPictureHook
from .hooks.split_overlap import SplitOverlapHook
from .hooks.undecodable_videos import UndecodableVideosHook
from .optim_wrapper import (
    AutocastOptimWrapper,
    CLIP4ClipOptimWrapperConstructor,
    Float16OptimWrapper,
    RetrievalOptimWrapperConstructor,
)
from .warmup_cosine import WarmupCosineLR

__all__ = [
    'AtomicCheckpointHook', 'AutocastOptimWrapper', 'BertAdam', 'BestAndLastHook',
    'CLIP4ClipCosineLR', 'CLIP4ClipOptimWrapperConstructor', 'ContrastiveBatchHook',
    'EpochRandomnessHook', 'EvaluationProgressHook', 'Float16OptimWrapper',
    'GradientCacheIterTrainLoop', 'GradientCacheTrainLoop', 'LoaderShareHook', 'QueryBankHook',
    'RetrievalOptimWrapperConstructor', 'RetrievalPictureHook', 'SplitOverlapHook',
    'UndecodableVideosHook', 'WarmupCosineLR',
]
