"""An all-MLP image backbone and what is needed to train it at scale.

Importing this needs torch, numpy and safetensors alone; timm is imported where it is used.
"""

from core.errors import InputError
from core.models.backbone import create_backbone
from core.models.mixer import Mixer, MixerConfig
from core.models.weights import load_backbone

__all__ = ["InputError", "Mixer", "MixerConfig", "create_backbone", "load_backbone"]
