"""Open3D, imported when it is first needed, on machines without its system package.

`from apps.pointcloud.data.open3d_compat import open3d`, then `open3d().io.read_point_cloud(...)`.

Open3D 0.20 is linked to libusb-1.0, for cameras that nothing here uses. The package libusb-package
carries that library; loaded first, and for all to see, it is what the loader finds. X11, GL, EGL
and IDN stay with the system: desktop machines and the full container images have them, slim images
do not, and no package carries them. The app therefore needs Open3D for Poisson reconstruction, for
turning normals alike and for its own data sets only; every file format is read without it.
"""

from __future__ import annotations

import ctypes
import importlib.util
from functools import cache
from pathlib import Path
from types import ModuleType

from core.errors import InputError

WAY_OUT = (
    "pip install open3d-cpu libusb-package (on Debian and Ubuntu, slim images also lack "
    "apt-get install libx11-6 libgl1 libegl1 libidn2-0)"
)


@cache
def open3d(needed_for: str = "this") -> ModuleType:
    """The module open3d. Raises InputError, which names what it was needed for, where it fails."""
    _load_libusb()
    try:
        import open3d as module
    except ImportError as error:
        raise InputError(f"{needed_for} needs Open3D ({error}): {WAY_OUT}") from error
    module.utility.set_verbosity_level(module.utility.VerbosityLevel.Error)
    return module


def has_open3d() -> bool:
    """Whether Open3D can be imported here."""
    try:
        open3d()
    except InputError:
        return False
    return True


def _load_libusb() -> None:
    """Load libusb-package's library; a system that has its own goes on with that."""
    # Not by `import libusb_package`, which needs importlib_resources to say where the library is.
    spec = importlib.util.find_spec("libusb_package")
    library = Path(spec.origin).with_name("libusb-1.0.so") if spec and spec.origin else None
    if library is not None and library.is_file():  # another name on macOS and Windows, not needed
        ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
