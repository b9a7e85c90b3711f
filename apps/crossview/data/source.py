"""From a configuration to the pairs of a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from apps.crossview.config import CrossViewConfig, DataConfig
from apps.crossview.data.pairs import Pairs
from apps.crossview.data.views import SIDES
from apps.crossview.towns import write_towns
from core.app.embedded import embedded_folder
from core.data.images.files import PixelLimit
from core.errors import InputError
from core.training.session import Session


class PairData:
    """The training and validation pairs of a run; the embedded towns are rendered if need be.

    Raises InputError where the target of the direction has no maps, and the source has.
    """

    def __init__(self, config: CrossViewConfig, session: Session, limit: PixelLimit | None = None):
        """limit: as `Pairs` has it."""
        self.data, self.report = found_data(config, session), session.print
        self.limit = limit
        self._val = Pairs(self.data, "val", limit=limit)
        target, maps = SIDES[config.direction][1], self._val.maps
        if maps and f"{target}_map" not in maps:
            raise InputError(
                f"direction {config.direction} needs maps of the {target} images, and "
                f"{self.data.root} has none: another data set or --direction"
            )

    def train(self, augmented: bool = True) -> Pairs:
        """The training pairs; what was stretched is said."""
        pairs = Pairs(self.data, "train", augmented, self.limit)
        for line in pairs.stretched():
            self.report(line)
        return pairs

    def val(self) -> Pairs:
        """The validation pairs."""
        return self._val


def found_data(config: CrossViewConfig, session: Session) -> DataConfig:
    """`config.data`; without a root it points at the embedded towns. All processes call it."""
    if config.data.root:
        return config.data
    root = embedded_towns(config, session)
    return replace(config.data, root=str(root), layout="panels", order="crossmlp")


def embedded_towns(config: CrossViewConfig, session: Session) -> Path:
    """The folder of the embedded towns; all processes call it.

    Raises InputError for a data.size that towns do not have.
    """
    towns, (height, width) = config.embedded, config.data.size
    if (width != height * (4 if towns.panorama else 1)) or height < 16:
        raise InputError(
            f"data.size is {height}x{width}: embedded towns are square, or 1 to 4 with "
            "--embedded.panorama"
        )
    kind = "panorama-" if towns.panorama else ""
    counts = f"{kind}{towns.train}-{towns.val}-{height}px-seed{towns.seed}"

    def write(root: Path) -> None:
        write_towns(root, towns.train, towns.val, towns.seed, height, towns.panorama)

    return embedded_folder(session, f"crossview-towns-{counts}", write)
