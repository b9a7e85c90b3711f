"""SIGTERM and Ctrl-C end a run between two optimizer steps, on all processes at the same one."""

from __future__ import annotations

import signal
import threading

import torch

from core.training.session import Session

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopSignals:
    """Context in which the signals only set a flag; a second Ctrl-C interrupts at once.

    Several processes compare their flags every ``every`` steps, since each may be signalled at
    another moment and a collective call each step would cost time.
    """

    def __init__(self, session: Session, every: int):
        self.session, self.every, self.signal = session, every, 0

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            self.before = {s: signal.signal(s, self._note) for s in SIGNALS}
        else:  # Python lets only the main thread handle signals
            self.before = {}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame: object) -> None:
        if number == signal.SIGINT and self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number

    def requested(self, step: int) -> bool:
        """Whether to stop after ``step``; all processes get the same answer."""
        if self.session.world == 1:
            return self.signal > 0
        if step % self.every:
            return False
        flags = self.session.accelerator.gather(
            torch.tensor([self.signal], device=self.session.device)
        )
        self.signal = max(self.signal, int(flags.max()))
        return self.signal > 0
