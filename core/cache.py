"""Where this machine keeps what took long to fetch or to find out."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """$MIXER_CACHE, else $XDG_CACHE_HOME/mixer, else ~/.cache/mixer."""
    if own := os.environ.get("MIXER_CACHE"):
        return Path(own).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser().absolute() / "mixer"
