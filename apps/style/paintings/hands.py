"""Who paints: each artist has a hand of his own, and some paint in two styles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apps.style.paintings.colour import rotate_hue, saturate

ARTISTS = 12  # of a style
OWN = 10  # the others, the last two, are the first two of the next style


def words(text: str) -> list[str]:
    """The words of a text, for titles and names."""
    return text.split()


FIRST = words("""ada aurel bela berthe cosmo dora edda emil fleur gaspard greta hanno ida ignaz jana
joris karla lazar leonie magda matteo nele odile oskar petra quirin rosa ruben selma silvan tilda
ulrich vera vito wanda wim xenia yves zelda zeno""")
LAST = words("""tessel umbra vermil ocker lazur siena krapp azurit malach indig bister gummi firnis
kohle roetel kreide pinsel leinwand lasur stupp grisaille ultram zinnob karmin terpin kasein
spachtel palett keilrahm passepart skizz aquarel fresk gouach imprim konture tempera mosaik vedute
capricc""")


@dataclass(frozen=True)
class Hand:
    """How one artist differs from another of the same style."""

    name: str  # "ada-tessel"
    hue: float  # degrees by which colours are off
    chroma: float  # of saturation
    gamma: float  # above 1 paints dark
    tint: np.ndarray  # (3,) factors
    scale: float  # of brushes, lines and facets
    angle: float  # radians, added to every stroke
    spread: float  # radians by which strokes differ
    choice: float  # 0..1: which of the style's papers, inks and palettes

    def sees(self, colour: np.ndarray) -> np.ndarray:
        """Colours (..., 3) in 0..1 through the artist's eyes."""
        turned = saturate(rotate_hue(colour, self.hue), self.chroma)
        return np.clip(turned**self.gamma * self.tint, 0, 1).astype(np.float32)

    def picks(self, things):
        """One of a list, always the same for this artist."""
        return things[int(self.choice * len(things))]


def hand(seed: int, style: int, artist: int, styles: int) -> Hand:
    """The hand of an artist (0 to ARTISTS - 1) of a style (0 to styles - 1)."""
    person = (style * OWN + artist) % (styles * OWN)
    rng = np.random.default_rng([seed, person, 2])
    return Hand(
        name=_name(seed, person),
        hue=rng.normal(0, 9),
        chroma=rng.uniform(0.75, 1.25),
        gamma=np.exp(rng.normal(0, 0.15)),
        tint=rng.uniform(0.9, 1.06, 3).astype(np.float32),
        scale=np.exp(rng.uniform(-0.28, 0.28)),
        angle=rng.normal(0, 0.25),
        spread=rng.uniform(0.08, 0.4),
        choice=rng.random(),
    )


def _name(seed: int, person: int) -> str:
    order = np.random.default_rng([seed, 3]).permutation(len(FIRST) * len(LAST))
    first, last = divmod(int(order[person]), len(LAST))
    return f"{FIRST[first]}-{LAST[last]}"


TITLES = {
    "landscape": (
        "hills",
        "the-bay",
        "a-road",
        "morning-walk",
        "the-old-farm",
        "view-from-a-window",
    ),
    "still-life": ("still-life", "pears-and-a-jug", "the-kitchen-table", "fruit", "a-green-bottle"),
    "bust": ("portrait-of-a-friend", "self-portrait", "the-sitter", "a-head", "the-listener"),
    "abstract": ("composition", "improvisation", "rhythm", "untitled", "fugue"),
}
ENDINGS = ("", "-in-blue", "-study", "-at-noon", "-ii", "-sketch", "-in-april", "-after-rain")


def title(seed: int, kind: str, number: int) -> str:
    """'the-bay-at-noon-17' for painting 17 of a kind of scene; no two numbers share a title."""
    rng = np.random.default_rng([seed, number, 4])
    return f"{rng.choice(TITLES[kind])}{rng.choice(ENDINGS)}-{number}"
