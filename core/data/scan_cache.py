"""What took long to find out about files, kept in the user's cache: data may be read-only."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from typing import Any

from core.cache import cache_folder
from core.files import write_json


def cached(key: Any, find: Callable[[], Any]) -> Any:
    """``find()``, or what it returned for an equal ``key`` before; both are plain JSON.

    The key holds everything that the result depends on, such as the size and time of each file.
    """
    text = json.dumps(key)
    path = cache_folder() / "streams" / f"{hashlib.sha256(text.encode()).hexdigest()}.json"
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):  # not there yet, or cut by a full disk
        value = find()
    try:
        write_json(path, value, indent=None)
    except OSError as error:
        print(f"note: {path} could not be kept ({error.strerror})", file=sys.stderr, flush=True)
    return value
