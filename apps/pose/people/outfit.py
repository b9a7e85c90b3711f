"""What people look like: skin, hair and clothes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apps.pose.people.canvas import Colour, darker, lighter

SKIN = ((255, 219, 190), (241, 194, 156), (224, 172, 126), (198, 140, 98), (161, 106, 72),
        (122, 78, 54), (92, 58, 44))  # fmt: skip
HAIR = ((38, 28, 30), (62, 40, 30), (98, 62, 36), (146, 92, 48), (206, 158, 84), (232, 200, 128),
        (178, 72, 38), (140, 138, 142), (222, 220, 216))  # fmt: skip
CLOTH = ((226, 74, 66), (244, 146, 62), (250, 200, 74), (96, 172, 98), (38, 132, 124),
         (70, 148, 214), (48, 88, 168), (128, 92, 184), (226, 116, 164), (246, 240, 226),
         (92, 100, 116), (48, 52, 70), (170, 60, 84), (158, 208, 196), (206, 178, 140))  # fmt: skip
BOTTOM = ((52, 70, 116), (88, 118, 168), (44, 46, 58), (96, 82, 70), (170, 142, 104),
          (108, 112, 120), (84, 98, 70), (132, 58, 72), (214, 204, 186))  # fmt: skip
SHOES = ((246, 244, 240), (44, 42, 48), (196, 62, 58), (110, 72, 48), (66, 116, 184),
         (240, 190, 70))  # fmt: skip


@dataclass(frozen=True)
class Outfit:
    """Colours and cuts. Lengths are shares of a limb: 2 covers both of its segments."""

    skin: Colour
    hair: Colour
    hair_style: str  # short, bob, long, bun, tail, bald
    hat: Colour | None
    beard: bool
    glasses: bool
    shirt: Colour
    stripe: Colour | None  # a band across the chest
    jacket: Colour | None  # the shirt's front seen between the halves of an open jacket
    sleeve: float
    bottom: Colour
    cut: str  # trousers, shorts, skirt
    shoes: Colour
    bag: Colour | None  # a backpack


def _pick(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    return colours[rng.integers(len(colours))]


def sample_outfit(rng: np.random.Generator) -> Outfit:
    style = ("short", "bob", "long", "bun", "tail", "bald")[
        rng.choice(6, p=(0.42, 0.14, 0.18, 0.09, 0.11, 0.06))
    ]
    trimmed = style in ("short", "bald")
    shirt = _pick(rng, CLOTH)
    decoration = rng.random()
    cuts = (0.72, 0.28, 0.0) if trimmed else (0.5, 0.2, 0.3)
    return Outfit(
        skin=_pick(rng, SKIN),
        hair=_pick(rng, HAIR),
        hair_style=style,
        hat=_pick(rng, CLOTH) if rng.random() < 0.14 else None,
        beard=bool(trimmed and rng.random() < 0.25),
        glasses=bool(rng.random() < 0.12),
        shirt=shirt,
        stripe=_stripe(rng, shirt) if decoration < 0.3 else None,
        jacket=_pick(rng, CLOTH) if decoration > 0.82 else None,
        sleeve=float(rng.choice((0.32, 0.62, 1.0, 1.96), p=(0.1, 0.42, 0.08, 0.4))),
        bottom=_pick(rng, BOTTOM) if rng.random() < 0.8 else _pick(rng, CLOTH),
        cut=str(rng.choice(("trousers", "shorts", "skirt"), p=cuts)),
        shoes=_pick(rng, SHOES),
        bag=_pick(rng, CLOTH) if rng.random() < 0.12 else None,
    )


def _stripe(rng: np.random.Generator, shirt: Colour) -> Colour:
    return lighter(shirt, 0.7) if rng.random() < 0.6 else darker(shirt, 0.45)
