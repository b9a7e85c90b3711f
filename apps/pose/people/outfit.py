"""What people look like: skin, hair and clothes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apps.pose.people.canvas import Colour, darker, lighter, palette

SKIN = palette("ffdbbe f1c29c e0ac7e c68c62 a16a48 7a4e36 5c3a2c")
HAIR = palette("261c1e 3e281e 623e24 925c30 ce9e54 e8c880 b24826 8c8a8e dedcd8")
CLOTH = palette(
    "e24a42 f4923e fac84a 60ac62 26847c 4694d6 3058a8 805cb8 e274a4"
    " f6f0e2 5c6474 303446 aa3c54 9ed0c4 ceb28c"
)
BOTTOM = palette("344674 5876a8 2c2e3a 605246 aa8e68 6c7078 546246 843a48 d6ccba")
SHOES = palette("f6f4f0 2c2a30 c43e3a 6e4830 4274b8 f0be46")


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
    """Draw hair, skin, clothes and what is carried."""
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
