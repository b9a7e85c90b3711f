"""An all-MLP image backbone and what is needed to train it at scale.

What is named here is imported at its first use, from `core.models`: that needs torch, numpy and
safetensors alone; timm is imported where it is used.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

# Before torch loads OpenMP: its threads would spin while they wait, on the cores of the loader's
# processes (1.4 times the images/s of the pose demo on 2 cores without that).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from core.errors import InputError

if TYPE_CHECKING:
    from core.models import Mixer, MixerConfig, create_backbone, list_weights, load_backbone

__all__ = [
    "InputError",
    "Mixer",
    "MixerConfig",
    "create_backbone",
    "list_weights",
    "load_backbone",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("core.models"), name)
