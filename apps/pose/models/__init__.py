"""Keypoint networks, their parts and losses."""
