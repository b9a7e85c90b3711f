"""The networks that the page may open: kept ones by name, and runs below one folder."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

from core.checkpoints import step_folders
from core.errors import InputError
from core.training.session import Session
from page.crafts.craft import Craft

OPEN = 4  # networks in memory at a time: the last ones that were used
DEPTHS = ("*", "*/*", "*/*/*")  # below the folder of an app, where runs are listed


class Networks:
    """Opened networks by craft, word and checkpoint. Nothing outside ``root`` is looked at."""

    def __init__(self, root: Path, session: Session):
        self.root, self.session = root.resolve(), session
        self._opened: OrderedDict[tuple[str, str, str], Any] = OrderedDict()
        self._lock = threading.Lock()

    def choices(self, craft: Craft) -> list[str]:
        """What can be chosen without typing: kept networks, then the runs of the craft's app."""
        place = self.root / craft.app
        found = [run for depth in DEPTHS for run in sorted(place.glob(f"{depth}/checkpoints"))]
        runs = [run.parent for run in found if run.parent.resolve().is_relative_to(self.root)]
        return craft.names() + [str(run.relative_to(self.root)) for run in runs]

    def open(self, craft: Craft, word: str) -> Any:
        """The network of a kept name or of a run below the root. Raises InputError for others."""
        with self._lock:
            place = word if word in craft.names() else self._run(craft, word)
            key = craft.name, word, str(_state(place))
            if key not in self._opened:
                self._opened[key] = craft.open(str(place), self.session)
            self._opened.move_to_end(key)
            while len(self._opened) > OPEN:
                self._opened.popitem(last=False)
            return self._opened[key]

    def _run(self, craft: Craft, word: str) -> Path:
        if not word:
            raise InputError(f"choose a network, or make one: {craft.command}")
        run = (self.root / word).resolve()
        if not run.is_relative_to(self.root):
            raise InputError(
                f"{word} lies outside of {self.root.name}, the only folder that this page opens: "
                "start it with --runs FOLDER"
            )
        if not run.is_dir():
            raise InputError(
                f"{word} is no folder below {self.root.name}: make one: {craft.command}"
            )
        return run


def _state(place: str | Path) -> str | Path:
    """Which checkpoint of a run counts now, by its name alone: a run may train on. Else itself."""
    best = Path(place, "checkpoints", "best")
    if best.exists():
        return best.resolve()
    return (step_folders(Path(place)) or [place])[-1]
