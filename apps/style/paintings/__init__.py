"""Procedural paintings: twelve ways of painting the same seeded scenes, as files like WikiArt's.

scenes/      what there is to paint: outlines, moods, kinds of scenes, a scene as fields of pixels
painters/    how it is painted: with the brush, in flat colours, in light and dark
hands.py     artists, their names and titles     styles.py   the styles by name, a painting
colour.py    mixing of colours                   dataset.py  images and lists on disk
kernels.py   compiled loops over pixels          sheet.py    a picture of all styles
"""

from apps.style.paintings.dataset import write_paintings
from apps.style.paintings.sheet import contact_sheet
from apps.style.paintings.styles import STYLES, paint

__all__ = ["STYLES", "contact_sheet", "paint", "write_paintings"]
