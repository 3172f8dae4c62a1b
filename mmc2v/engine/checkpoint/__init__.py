"""Checkpoints that are whole, fit, and are found again."""
