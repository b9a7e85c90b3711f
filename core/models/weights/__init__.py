"""Weights: read, fetched, described."""
