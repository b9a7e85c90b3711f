"""What a run writes, and when: nothing before its first batch, and one process for all.

Where the files lie, and what is in them: `folder`, `checkpoint`, both beside this.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.checkpoints import latest_checkpoint, step_of
from core.config import flatten
from core.training.files import checkpoint, folder, lock
from core.training.run_config import RunConfig
from core.training.session import Session


class RunFiles:
    """The folder of a run and its trackers; ``settings``: all of the app's, to keep there.

    Raises InputError for a folder in use.
    """

    def __init__(self, config: RunConfig, settings: Any, session: Session):
        self.config, self.settings, self.session = config, settings, session
        self.folder = Path(config.folder)
        self.resumed = session.on_main(self._claim)  # the checkpoint to go on from, or None
        self.opened = False  # whether the folder is there
        self._noted: list[tuple[str, str]] = []  # bad samples, until it is

    def _claim(self) -> Path | None:
        folder.claim(self.folder, self.config.resume)
        best = self.config.best, self.config.best_is == "max"
        return checkpoint.newest_whole(self.folder, *best) if self.config.resume else None

    def open(self) -> None:
        """Make the folder, and start the trackers: not before there is something to write.

        A start that fails, on a wrong path for example, leaves nothing behind.
        """
        if self.opened:
            return
        done = step_of(self.resumed) if self.resumed else 0
        self.session.on_main(
            lambda: folder.open_folder(self.folder, self.config.resume, self.settings, done)
        )
        self.opened = True
        for path, reason in self._noted:
            folder.note_bad(self.folder, path, reason)
        if self.config.trackers:
            options = {"tensorboard": {"purge_step": done + 1}} if done else {}
            self.session.accelerator.init_trackers("tracking", flatten(self.settings), options)

    def note_bad(self, path: str, reason: str) -> None:
        """Name a sample that cannot be read."""
        if self.opened:
            folder.note_bad(self.folder, path, reason)
        else:
            self._noted.append((path, reason))

    def record(self, step: int, row: dict[str, float]) -> None:
        """One line of metrics.jsonl and of the trackers."""
        if self.session.is_main:
            folder.append_metrics(self.folder, {"step": step, **row})
        self.session.accelerator.log(row, step=step)

    def latest(self) -> Path | None:
        """The newest checkpoint."""
        return latest_checkpoint(self.folder)

    def save(self, step: int, write: Callable[[Path], None]) -> None:
        """A checkpoint, which ``write(folder)`` fills; others are pruned. All processes call it."""
        if self.session.is_main:
            checkpoint.write_checkpoint(self.folder, step, write)
        self.prune()
        self.session.wait()

    def prune(self) -> None:
        """Name the newest checkpoint and the best, and delete what need not be kept."""
        if self.session.is_main:
            best = self.config.best, self.config.best_is == "max"
            checkpoint.link_and_prune(self.folder, *best, self.config.keep_best)

    def close(self) -> None:
        """End the trackers, and let others have the folder."""
        for tracker in self.session.accelerator.trackers:
            tracker.finish()
        if self.session.is_main:
            lock.release(self.folder)

    def where(self) -> str:
        """Where what came of the run lies, in words."""
        latest = self.latest()
        networks = [f"{latest.parent}/{name}" for name in ("best", "last")] if latest else []
        found = ", ".join(path for path in networks if Path(path).exists()) or "none"
        lines = [f"checkpoints: {found}", f"figures, settings, pictures: {self.folder}"]
        if bad := folder.count_bad(self.folder):
            lines.append(f"samples that could not be read, {bad:,}: {self.folder / folder.SKIPPED}")
        return "\n".join(lines)
