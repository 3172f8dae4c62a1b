"""Hooks for what MMEngine does not do, one a file."""
