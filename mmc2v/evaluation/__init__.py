"""Ranks and metrics."""
from .ranks import Ranks, retrieval_ranks, summarize
from .retrieval_metric import RetrievalMetric

__all__ = ['Ranks', 'RetrievalMetric', 'retrieval_ranks', 'summarize']
