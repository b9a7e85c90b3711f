"""Sizes as people write them: one number or two, and back into words."""

from __future__ import annotations

from collections.abc import Sequence

from core.errors import InputError


def as_pair(name: str, size: int | Sequence[int]) -> tuple[int, int]:
    """(height, width) from one integer or from a sequence of one or two (JSON has no tuples).

    Raises InputError where it is neither; ``name`` is the setting.
    """
    pair = tuple(size) if isinstance(size, (tuple, list)) else (size,)
    pair = pair * 2 if len(pair) == 1 else pair
    if len(pair) != 2 or not all(isinstance(side, int) and side > 0 for side in pair):
        raise InputError(f"{name} is {size!r}; give one positive integer or (height, width)")
    return pair


def times(shape: Sequence[int]) -> str:
    """14x14, for messages."""
    return "x".join(map(str, shape))
