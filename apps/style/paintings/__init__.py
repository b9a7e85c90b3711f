"""Procedural paintings: twelve ways of painting the same seeded scenes, as files like WikiArt's.

shapes.py        outlines                        brushed.py  dots, strokes, patches, drips
moods.py         the light of a scene            flat.py     contours, screens, blocks, grids
compositions.py  what is in a picture            tonal.py    sfumato, hatching, facets
scene.py         colours and fields of it        styles.py   the styles by name, a painting
hands.py         artists, names, titles          dataset.py  images and lists on disk
colour.py, ground.py, kernels.py  what painters share        sheet.py  a row for each style
"""

from apps.style.paintings.dataset import write_paintings
from apps.style.paintings.sheet import contact_sheet
from apps.style.paintings.styles import STYLES, paint

__all__ = ["STYLES", "contact_sheet", "paint", "write_paintings"]
