"""Formula-driven images: classes are iterated function systems, nothing is stored.

    systems.py   the rules by which systems are drawn    kernels.py  the compiled loops (numba)
    classes.py   which of them become classes            render.py   points per pixel
    dataset.py   instances, and the data set             colour.py   tones, hues, backgrounds
    writer.py    image folders, tar shards               sheet.py    a picture of many classes

An image is a pure function of (seed, class, instance), the same bits on every machine but for the
rounding of logarithms and angles: any process makes any sample. The published recipes and results
are FractalDB (AAAI 2022), Anderson & Farrell (WACV 2022), OFDB (ICCV 2023), 1p-frac (ECCV 2024).
"""

from core.data.fractals.dataset import FractalImages, FractalsConfig

__all__ = ["FractalImages", "FractalsConfig"]
