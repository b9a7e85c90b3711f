"""Which numbers a setting takes, said where it is declared, and checked in one place.

    workers: Workers = 2
    margin: Annotated[float, Range(1, 4)] = 1.0
    sizes: Counts = ()  # each of them

`--help-all` shows the range beside the name. What a command line, a yaml or Python gives goes
through `check_ranges` (`core.config.cli` and `build`, `core.training.run.Run`).
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any

from core.errors import InputError


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``; above, below: without the end itself. Never NaN.

    ordered: several of them, the smaller ones first.
    """

    low: float
    high: float = math.inf
    above: bool = False
    below: bool = False
    ordered: bool = False

    def __contains__(self, value: float) -> bool:
        if not (math.isfinite(value) and self.low <= value <= self.high):
            return False
        return not ((self.above and value == self.low) or (self.below and value == self.high))

    def __str__(self) -> str:
        if self.high == math.inf:
            return f"above {self.low:,}" if self.above else f"{self.low:,} or more"
        start = f"above {self.low:,}, up" if self.above else f"{self.low:,}"
        return f"{start} to {'below ' if self.below else ''}{self.high:,}"


Whole = Annotated[int, Range(0)]
Count = Annotated[int, Range(1)]
Layers = Annotated[int, Range(1, 1_000)]  # one after another
Workers = Annotated[int, Range(0, 512)]
Processes = Annotated[int | None, Range(1, 512)]  # None: one for each core
Seed = Whole
NonNegative = Annotated[float, Range(0)]
Positive = Annotated[float, Range(0, above=True)]
Share = Annotated[float, Range(0, 1)]  # of a whole, or a probability
PositiveShare = Annotated[float, Range(0, 1, above=True)]
Part = Annotated[float, Range(0, 1, above=True, below=True)]  # something is left on both sides
Decay = Annotated[float, Range(0, 1, below=True)]
Wholes = Annotated[tuple[int, ...], Range(0)]
Counts = Annotated[tuple[int, ...], Range(1)]
Seeds = Wholes
Size = Annotated[tuple[int, int], Range(1)]  # height and width
Fractions = Annotated[tuple[float, ...], Range(0, 1)]  # of a run
# the least and the largest
Shares = Annotated[tuple[float, float], Range(0, 1, above=True, ordered=True)]


def argument(hint: Any) -> Callable[[str], Any]:
    """The `type` of an argparse option: an int or a float within the range of a type of one number.

    parser.add_argument("--count", type=argument(Count))
    """
    kind, (allowed,) = hint.__origin__, _ranges(hint)

    def read(word: str) -> Any:
        try:
            value = kind(word)
        except ValueError:
            value = math.nan
        if value not in allowed:
            raise argparse.ArgumentTypeError(f"{word!r} is no {kind.__name__} of {allowed}")
        return value

    return read


def check_ranges(config: Any, prefix: str = "") -> None:
    """Raise InputError for the first number of a dataclass that is out of its range or order.

    prefix: what stands before its name; of options "--", and they have dashes.
    """
    for name, ranges in _ranges_of(type(config)).items():
        value = getattr(config, name, None)
        if dataclasses.is_dataclass(value):
            check_ranges(value, f"{prefix}{name}.")
        for allowed in ranges:
            if wrong := _wrong(value, allowed):
                name = f"{prefix}{name}"
                option = name.replace("_", "-") if name.startswith("--") else name
                raise InputError(f"{option} is {value}{wrong}")


def _wrong(value: Any, allowed: Range) -> str:
    """What is not as it should be, and the way out; empty: nothing."""
    if not all(number in allowed for number in _numbers(value)):
        return f"; choose {allowed}"
    return ": the smaller one comes first" * (allowed.ordered and list(value) != sorted(value))


@cache  # some settings are checked each step
def _ranges_of(kind: type) -> dict[str, list[Range]]:
    """Those of each setting of a dataclass."""
    hints = typing.get_type_hints(kind, include_extras=True)
    return {name: _ranges(hint) for name, hint in hints.items()}


def _ranges(hint: Any) -> list[Range]:
    return [extra for extra in getattr(hint, "__metadata__", ()) if isinstance(extra, Range)]


def _numbers(value: Any) -> Iterator[float]:
    for item in value if isinstance(value, tuple | list) else [value]:
        if isinstance(item, int | float):
            yield item


def show_ranges(kind: type) -> None:
    """Let tyro's --help of a dataclass, and of those in it, say what each setting takes."""
    import tyro  # here, so that core can be imported without it

    for base in kind.__mro__:
        hints = typing.get_type_hints(base, include_extras=True) if base is not object else {}
        for name in vars(base).get("__annotations__", {}):
            if dataclasses.is_dataclass(hint := hints[name]):
                show_ranges(hint)
            if (ranges := _ranges(hint)) and len(hint.__metadata__) == len(ranges):  # not yet said
                plain = typing.get_origin(hint) and hint.__origin__
                shown = tyro.conf.arg(metavar=f"{_type_words(plain)} ({ranges[0]})")
                base.__annotations__[name] = Annotated[(hint, shown)]


def _type_words(plain: Any) -> str:
    """INT, or FLOAT FLOAT of a pair, as tyro has it."""
    if typing.get_origin(plain) in (typing.Union, types.UnionType):
        return "|".join(_type_words(kind) for kind in typing.get_args(plain))
    if plain is type(None):
        return "None"
    if typing.get_origin(plain) is not tuple:
        return plain.__name__.upper()
    *first, last = typing.get_args(plain)
    if last is Ellipsis:
        return f"[{first[0].__name__.upper()} ...]"
    return " ".join(kind.__name__.upper() for kind in (*first, last))
