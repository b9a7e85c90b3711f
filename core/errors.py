"""The one exception that speaks to a person, and the words that help with a name."""

from __future__ import annotations

from collections.abc import Iterable

# why weights, or what a network makes, are no numbers, and the way out
DIVERGED = "as of a run that diverged: take an older checkpoint"


class InputError(ValueError):
    """What was given cannot be used. The message names the file, field or value, and the way out.

    Entry points print it as one line and exit with status 2 (`core.config.entry_point`).
    """


def first_line(error: Exception) -> str:
    """What an error says, on one line."""
    return f"{type(error).__name__}: {error}".splitlines()[0]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """' Did you mean ...?' for the nearest known word, then the whole list."""
    import difflib  # half of the time that `import core` takes, and few names are wrong

    known = list(known)
    near = difflib.get_close_matches(word, known, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    return f"{hint} Known: {', '.join(known)}"
