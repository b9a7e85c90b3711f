"""WikiArt's styles: all 27, or the 21 that are not small.

The names and their order are those of ArtGAN's style_class.txt, and of the Hub's huggan/wikiart.
"""

from __future__ import annotations

from collections.abc import Sequence

from core.config import did_you_mean
from core.errors import InputError

STYLES = (
    "Abstract_Expressionism",
    "Action_painting",
    "Analytical_Cubism",
    "Art_Nouveau",
    "Baroque",
    "Color_Field_Painting",
    "Contemporary_Realism",
    "Cubism",
    "Early_Renaissance",
    "Expressionism",
    "Fauvism",
    "High_Renaissance",
    "Impressionism",
    "Mannerism_Late_Renaissance",
    "Minimalism",
    "Naive_Art_Primitivism",
    "New_Realism",
    "Northern_Renaissance",
    "Pointillism",
    "Pop_Art",
    "Post_Impressionism",
    "Realism",
    "Rococo",
    "Romanticism",
    "Symbolism",
    "Synthetic_Cubism",
    "Ukiyo_e",
)
# With fewer than 520 paintings in the lists. That the 21 classes of Iliadis et al. (Technologies
# 10(1):2, 2021) are the others is our reading: the paper's list of classes has 27.
SMALL = (
    "Action_painting",
    "Analytical_Cubism",
    "Contemporary_Realism",
    "New_Realism",
    "Pointillism",
    "Synthetic_Cubism",
)
ALIASES = {"Art_Nouveau_Modern": "Art_Nouveau"}  # folders that are named unlike their class


def protocol(classes: int) -> list[str]:
    """The names of the 27 classes, or of the 21 that have at least 520 paintings."""
    return [name for name in STYLES if classes == len(STYLES) or name not in SMALL]


def known_classes(names: Sequence[str], source: str) -> list[str]:
    """The names as the protocols have them. Raises InputError for one that is no style of them."""
    names = [ALIASES.get(name, name) for name in names]
    if unknown := [name for name in names if name not in STYLES]:
        raise InputError(
            f"{source}: {unknown[0]!r} is none of WikiArt's {len(STYLES)} styles (--data.classes 0 "
            f"takes classes as found).{did_you_mean(unknown[0], STYLES)}"
        )
    return names
