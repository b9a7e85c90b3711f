"""An all-MLP image backbone and what is needed to train it at scale.

Importing this needs torch, numpy and safetensors alone; timm is imported where it is used.
"""

import os

# Before torch loads OpenMP: its threads would spin while they wait, on the cores of the loader's
# processes (1.4 times the images/s of the pose demo on 2 cores without that).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from core.errors import InputError
from core.models.backbone import create_backbone
from core.models.building import load_backbone
from core.models.networks.convmlp import ConvMLP
from core.models.networks.mixer import Mixer, MixerConfig
from core.models.networks.s2mlp import S2MLP
from core.models.networks.timm_backbone import TimmBackbone
from core.models.sharing import add_sharing
from core.models.weights.listing import list_weights

add_sharing(Mixer, S2MLP, ConvMLP, TimmBackbone)

__all__ = [
    "InputError",
    "Mixer",
    "MixerConfig",
    "create_backbone",
    "list_weights",
    "load_backbone",
]
