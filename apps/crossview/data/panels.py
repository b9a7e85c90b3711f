"""Files that hold several panels side by side, in an order that nobody writes into them.

    crossmlp   aerial, ground, aerial map, ground map     CrossMLP, SelectionGAN, PI-Trans
    xfork      ground, aerial, ground map, aerial map     X-Fork and X-Seq
    panogan    aerial, ground, ground map                 PanoGAN's CVUSA
    pair       aerial, ground

Panels are as high as the file. Those from above are square, those of the ground square or four
times as wide; the file's own width says which.
"""

from __future__ import annotations

from core.errors import InputError

ORDERS = {
    "crossmlp": ("aerial", "ground", "aerial_map", "ground_map"),
    "xfork": ("ground", "aerial", "ground_map", "aerial_map"),
    "panogan": ("aerial", "ground", "ground_map"),
    "pair": ("aerial", "ground"),
}


def panel_boxes(size: tuple[int, int], order: str, path: str) -> dict[str, tuple[int, ...]]:
    """Where each panel of a file of `size` (width, height) lies: name -> left, top, right, bottom.

    Raises InputError for a width that is not that of the order's panels.
    """
    (width, height), names = size, ORDERS[order]
    fitting = [wide for wide in (1, 4) if width == height * sum(_widths(names, wide))]
    if not fitting:
        raise InputError(f"{path} is {width}x{height} pixels: {_expected(order, height, width)}")
    boxes, left = {}, 0
    for name, wide in zip(names, _widths(names, fitting[0]), strict=True):
        boxes[name] = (left, 0, left + wide * height, height)
        left += wide * height
    return boxes


def _widths(names: tuple[str, ...], ground: int) -> list[int]:
    """Widths of the panels in units of their height."""
    return [ground if name.startswith("ground") else 1 for name in names]


def _expected(order: str, height: int, width: int) -> str:
    wanted = [height * sum(_widths(ORDERS[order], wide)) for wide in (1, 4)]
    others = [
        name
        for name, names in ORDERS.items()
        if width in [height * sum(_widths(names, wide)) for wide in (1, 4)]
    ]
    said = f"order {order!r} is {wanted[0]} or, with panoramas, {wanted[1]} wide at this height"
    return f"{said}; --data.order {' or '.join(others)} would fit" if others else said
