"""Heads: what makes embeddings of tokens, scores and the loss."""
