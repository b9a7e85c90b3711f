"""Labelled images that are read in turn."""
