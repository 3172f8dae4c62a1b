"""Ranks and metrics."""
from .ranks import Ranks, retrieval_ranks, summarize
from .retrieval_metric import RetrievalMetric
from .table import format_table

__all__ = ['Ranks', 'RetrievalMetric', 'format_table', 'retrieval_ranks', 'summarize']
