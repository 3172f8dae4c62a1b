"""Towers: what makes tokens of frames and of captions."""
