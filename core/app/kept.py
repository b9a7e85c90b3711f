"""Networks that an app keeps in its package and opens by a name: apps/APP/weights/NAME.

The files are those of core's kept weights (`core.models.weights.names`): config.json, which is what
the network's `describe()` gave and "about", model.safetensors in half precision, README.md. An app
that has some says so in its network class, `KEPT = KeptNetworks(FOLDER, "NAME")`: a name is then
taken wherever the folder of a run is. A name comes before a folder that is called so, and a Path
never is one: "./people" is the folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from core.errors import InputError
from core.models.weights.names import kept_names


@dataclass(frozen=True)
class KeptNetworks:
    """Where an app's networks lie, and the name of the one that is taken where none is named."""

    folder: Path
    usual: str

    def names(self) -> list[str]:
        """Names of the networks that are kept."""
        return kept_names(self.folder)

    def place(self, word: str | Path) -> str | Path:
        """The folder of a kept name; everything else as it is."""
        return self.folder / word if isinstance(word, str) and word in self.names() else word

    def default(self) -> str:
        """The usual network's name. Raises InputError where it is not there."""
        if self.usual not in self.names():
            raise InputError(
                "no run is named, and no network is kept in this package: give the folder of a "
                "run, or of one of its checkpoints, first"
            )
        return self.usual
