"""Towers as files of their own, which run without torch: see tools/export.py."""
