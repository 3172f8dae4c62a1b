"""Ranks and metrics."""
from .embeddings import RetrievalEmbeddings
from .protocols import retrieval_metrics
from .published import PublishedFigures, find_published
from .ranks import Ranks, retrieval_ranks, summarize
from .retrieval_metric import RetrievalMetric
from .table import format_table

__all__ = ['PublishedFigures', 'Ranks', 'RetrievalEmbeddings', 'RetrievalMetric', 'find_published',
           'format_table', 'retrieval_metrics', 'retrieval_ranks', 'summarize']
