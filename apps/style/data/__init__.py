"""Paintings with their styles: files, lists, splits."""
