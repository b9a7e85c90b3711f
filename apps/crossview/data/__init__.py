"""Pairs of views and their maps: files, layouts, splits."""
