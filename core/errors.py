"""The one exception that speaks to a person."""


class InputError(ValueError):
    """What was given cannot be used. The message names the file, field or value, and the way out.

    Entry points print it as one line and exit with status 2 (`core.config.entry_point`).
    """
