"""Seeded shapes and rooms, sampled with normals, in ShapeNet-Part's layout.

surfaces.py    triangles that know their inside     furniture.py  tables, chairs, shelves, lamps
primitives.py  boxes, superquadrics, tubes, ...     rooms.py      furnished rooms in metres
abstract.py    objects of one primitive each        shapes.py     the kinds, one shape
dataset.py     files and split lists on disk        sheet.py      a picture of all kinds
"""

from apps.pointcloud.solids.dataset import write_solids
from apps.pointcloud.solids.rooms import room_scene
from apps.pointcloud.solids.shapes import KINDS, make_shape

__all__ = ["KINDS", "make_shape", "room_scene", "write_solids"]
