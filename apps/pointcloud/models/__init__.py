"""Reconstruction networks, their operators and losses."""
