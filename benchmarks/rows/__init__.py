"""The groups of rows of benchmarks/all.py by name: where their function is, and their limit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Group:
    """Rows that one process measures: `module.function(settings)` yields them."""

    module: str
    function: str
    minutes: float  # after which it is stopped; the rows that it has given by then are kept


GROUPS = {
    "gelu": Group("gelu", "rows", 4),
    "mixer": Group("mixer", "eager", 30),
    "mixer_compiled": Group("mixer", "compiled", 20),
    "hidden": Group("hidden", "rows", 6),
    "imports": Group("starts", "imports", 8),
    "crossmlp": Group("crossview", "crossmlp", 6),
    "gan_step": Group("crossview", "gan_step", 4),
    "pose": Group("pose", "rows", 12),
    "loaders": Group("loaders", "rows", 6),
    "fractals": Group("drawing", "rows", 6),
    "first_steps": Group("starts", "first_steps", 15),
    "slopes": Group("slopes", "rows", 20),
}
