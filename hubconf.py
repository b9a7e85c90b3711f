"""Backbones by torch.hub: torch.hub.load(REPOSITORY, "photos"), of a checkout with source="local".

Each takes what `core.create_backbone` takes after the name: image_size, weights, resize, and the
fields of the network's configuration. `torch.hub.help(REPOSITORY, NAME)` prints this.
"""

from core import create_backbone as _create_backbone

dependencies = ["numpy", "safetensors", "torch"]


def backbone(name, image_size=None, weights=None, **options):
    """Any name of `core.create_backbone`: mixer_c256_l8_p8, convmlp_s, timm:resnet50, ..."""
    return _create_backbone(name, image_size, weights, **options)


def photos(image_size=64, **options):
    """A small Mixer with the kept weights `photos`, for 48 to 192 pixels; nothing is downloaded.

    4.4 M parameters, from 45,000 photographs of Tiny-ImageNet (core/models/weights/kept/photos).
    ImageNet's terms hold: non-commercial research.
    """
    return _create_backbone("mixer_c256_l8_p8", image_size, "photos", **options)


def fractals(image_size=64, **options):
    """The same network with the kept weights `fractals`, of formulas alone: no picture was taken.

    4.4 M parameters, for 48 to 192 pixels; nothing is downloaded, and no terms hold but this
    library's (core/models/weights/kept/fractals).
    """
    return _create_backbone("mixer_c256_l8_p8", image_size, "fractals", **options)


def _named(name, which):
    def mixer(image_size=None, weights=None, **options):
        return _create_backbone(name, image_size, weights, **options)

    mixer.__doc__ = f"{name} of the Mixer's paper, random unless weights are named. {which}"
    return mixer


mixer_s32 = _named("mixer_s32", "weights: gsam.")
mixer_s16 = _named("mixer_s16", "weights: gsam.")
mixer_b32 = _named("mixer_b32", "weights: sam, gsam.")
mixer_b16 = _named("mixer_b16", "weights: imagenet1k, imagenet21k, sam, gsam, timm.")
mixer_l32 = _named("mixer_l32", "No weights were released.")
mixer_l16 = _named("mixer_l16", "weights: imagenet1k, imagenet21k, timm.")
mixer_h14 = _named("mixer_h14", "No weights were released.")
