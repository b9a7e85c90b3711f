"""Seeded small towns, from above and from the street, with exact maps of both views.

classes.py  what a pixel can show         kernels.py  a ray in a town: what it meets
looks.py    colours, seasons, light       shading.py  the light there
layout.py   streets, lots, houses, trees  render.py   the two views
                                          dataset.py  four-panel files on disk
"""

from apps.crossview.towns.classes import CLASSES, PALETTE
from apps.crossview.towns.dataset import write_towns
from apps.crossview.towns.layout import town_scene
from apps.crossview.towns.render import render

__all__ = ["CLASSES", "PALETTE", "render", "town_scene", "write_towns"]
