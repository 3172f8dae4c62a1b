"""Ranks and metrics."""
from .embeddings import RetrievalEmbeddings
from .protocols import retrieval_metrics
from .ranks import Ranks, retrieval_ranks, summarize
from .retrieval_metric import RetrievalMetric
from .table import format_table

__all__ = ['Ranks', 'RetrievalEmbeddings', 'RetrievalMetric', 'format_table', 'retrieval_metrics',
           'retrieval_ranks', 'summarize']
