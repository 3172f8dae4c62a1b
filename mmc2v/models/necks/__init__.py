"""Necks: what mixes the frames of a video over time."""
