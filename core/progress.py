"""What a person sees while a run goes on: a bar on a terminal, plain lines in a log."""

from __future__ import annotations

import importlib.util
import sys
import time


class Display:
    """Progress of one run. On a terminal a live bar, elsewhere a line every ``seconds``."""

    def __init__(self, total: int, done: int, enabled: bool = True, seconds: float = 10.0):
        self.total, self.enabled, self.seconds = total, enabled, seconds
        self.first, self.started, self.shown = done, time.monotonic(), 0.0
        self.bar = None
        if enabled and sys.stdout.isatty() and importlib.util.find_spec("rich"):
            self._start_bar(done)

    def _start_bar(self, done: int) -> None:
        from rich import progress  # here: core runs where rich is not installed

        self.bar = progress.Progress(
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TextColumn("left"),
            progress.TimeRemainingColumn(),
            progress.TextColumn("{task.fields[text]}"),
        )
        self.task = self.bar.add_task("training", total=self.total, completed=done, text="")
        self.bar.start()

    def update(self, step: int, text: str) -> None:
        """Show that ``step`` optimizer steps are done."""
        if self.bar:
            self.bar.update(self.task, completed=step, text=text)
        elif self.enabled and self._due(step):
            print(f"step {step}/{self.total}  left {self._left(step)}  {text}", flush=True)

    def _due(self, step: int) -> bool:
        now = time.monotonic()
        if step < self.total and now - self.shown < self.seconds:
            return False
        self.shown = now
        return True

    def _left(self, step: int) -> str:
        pace = (time.monotonic() - self.started) / max(1, step - self.first)
        minutes, seconds = divmod(int(pace * (self.total - step)), 60)
        return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"

    def __enter__(self) -> Display:
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar:
            self.bar.stop()
            self.bar = None
