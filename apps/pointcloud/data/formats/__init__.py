"""Readers of single formats, by numpy alone; `apps/pointcloud/data/files.py` chooses among them."""
