"""Labelled images that are read by index."""
