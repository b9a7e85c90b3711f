"""Backbones and their weights. Nothing here knows of training."""

from core.models.backbone import create_backbone
from core.models.building import load_backbone
from core.models.networks.convmlp import ConvMLP
from core.models.networks.mixer import Mixer, MixerConfig
from core.models.networks.s2mlp import S2MLP
from core.models.networks.timm_backbone import TimmBackbone
from core.models.sharing import add_sharing
from core.models.weights.listing import list_weights

add_sharing(Mixer, S2MLP, ConvMLP, TimmBackbone)

__all__ = ["Mixer", "MixerConfig", "create_backbone", "list_weights", "load_backbone"]
