"""Where the time goes: seconds by the name of a step."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Stopwatch:
    """Seconds of each step so far, in the order in which the steps first came."""

    seconds: dict[str, float] = field(default_factory=dict)

    def run(self, step: str, call: Callable, *words: Any) -> Any:
        """call(*words), its time added to the step's, also where it raises."""
        start = time.perf_counter()
        try:
            return call(*words)
        finally:
            spent = time.perf_counter() - start
            self.seconds[step] = self.seconds.get(step, 0.0) + spent
