"""What cannot fit into this machine's memory is said before it fills it, and the process is killed.

Reckoned from below, and held against all of the machine's memory, not what is free of it: what is
refused here could not have been done, but for what a machine swaps to its disk, which nobody waits
for.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

from core.errors import InputError
from core.sizes import times

ALWAYS = 2**28  # bytes that every machine has
MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1  # mallopt's M_MMAP_THRESHOLD, M_TRIM_THRESHOLD
COPIES = 8  # of an image in float32, while it is read, made a tensor and goes through a network


def check_memory(needed: float, what: str, way_out: str, room: int | None = None) -> None:
    """Raise InputError where so many bytes are more than the machine has, or a device's ``room``.

    what: begins the message, the setting and its value; way_out: ends it.
    """
    if needed <= ALWAYS:
        return
    if room is None:
        import psutil  # here, so that weights open where it is not installed

        room = psutil.virtual_memory().total
    if needed > room:
        raise InputError(
            f"{what} takes {needed / 2**30:,.1f} GiB of memory at least, and there are "
            f"{room / 2**30:,.1f}: {way_out}"
        )


def check_image(name: str, size: Sequence[int]) -> None:
    """Raise InputError where an image of this (height, width) is more than can be worked on."""
    height, width = size
    what = f"{name} {times(size)}: one such image"
    check_memory(COPIES * 3 * 4 * height * width, what, "choose a smaller size")


def keep_freed_memory() -> bool:
    """Have glibc keep what is freed for what is asked for next; whether it is glibc, and does.

    A training step frees and takes the same memory again. Given back in between, it comes as new
    pages of zeros, 6 to 8 % of the time of a step of Mixer-B/16 on two cores. The process then
    stays as large as it was at most, up to 2 GiB.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # another library of C, another system
        return False
    kept = mallopt(MMAP_THRESHOLD, 2**25), mallopt(TRIM_THRESHOLD, 2**31 - 1)  # the largest of each
    return all(kept)
