"""Backbones and their weights. Nothing here knows of training."""
