"""The one exception that speaks to a person."""


class InputError(ValueError):
    """What was given cannot be used. The message names the file, field or value, and the way out.

    Entry points print it as one line and exit with status 2 (`core.config.entry_point`).
    """


def first_line(error: Exception) -> str:
    """What an error says, on one line."""
    return f"{type(error).__name__}: {error}".splitlines()[0]
