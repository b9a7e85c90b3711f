"""Any model of timm, without its classifier, behind the contract of `core.models.contract`."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from types import SimpleNamespace

import torch
from torch import Tensor, nn

from core.errors import InputError, first_line
from core.memory import check_image
from core.models.shapes import as_pair, check_images, even_depths, tokens_to_map


class TimmBackbone(nn.Module):
    """A model of timm, without its classifier, as a backbone.

    It is built for one `image_size`; None is the size that timm has the model's weights at. An
    HRNet with the option `head=""` lacks what timm puts on its four branches to classify: its
    `feature_map` is then the branch of stride 4, as in HRNet's own networks for pose.
    """

    def __init__(self, name: str, image_size=None, pretrained: bool = False, **options):
        super().__init__()
        self.name, self.options = name, options
        self.in_channels = options.get("in_chans", 3)
        size = None if image_size is None else as_pair("image_size", image_size)
        self.model = _timm_model(name.removeprefix("timm:"), size, pretrained, options)
        data = self.model.pretrained_cfg
        last = 1 if options.get("head") == "" else -1  # of an HRNet the finest branch
        self.stride = (self.model.feature_info[last]["reduction"],) * 2
        # timm repeats a pretrained stem over further channels in this order
        order = [i % 3 for i in range(self.in_channels)]
        self.normalization = tuple(tuple(data[key][i] for i in order) for key in ("mean", "std"))
        self._measure(size or data["input_size"][1:])

    def _measure(self, image_size: tuple[int, int]) -> None:
        """Set image_size, grid and num_features by what the model makes of an empty image."""
        check_image("image_size", image_size)
        was_training, device = self.training, next(self.model.parameters()).device
        empty = torch.zeros(1, self.in_channels, *image_size, device=device)
        try:
            with torch.no_grad():
                features = self._laid_out(self.eval().model.forward_features(empty))
        except Exception as error:
            raise InputError(
                f"{self.name} does not take image_size {image_size}: {first_line(error)}"
            ) from error
        self.train(was_training)
        self.image_size = image_size
        if features.ndim == 4:
            self.grid, self.num_features = tuple(features.shape[2:]), features.shape[1]
            return
        sides = zip(image_size, self.stride, strict=True)
        if image_size != (whole := tuple(-(-side // patch) * patch for side, patch in sides)):
            raise InputError(  # timm would leave the rest of the image out, and say nothing
                f"image_size {image_size} is not a multiple of {self.name}'s patch {self.stride}: "
                f"choose {whole}"
            )
        self.grid = (image_size[0] // self.stride[0], image_size[1] // self.stride[1])
        self.num_features = features.shape[2]

    def set_image_size(self, image_size: int | Sequence[int]) -> None:
        """Move to another size, as timm does it (position embeddings are interpolated)."""
        image_size = as_pair("image_size", image_size)
        if image_size == self.image_size:
            return
        if self.model.pretrained_cfg["fixed_input_size"]:
            if not hasattr(self.model, "set_input_size"):
                raise InputError(
                    f"{self.name} has weights for image_size {self.image_size} and timm cannot "
                    f"move them to {image_size}"
                )
            self.model.set_input_size(img_size=image_size)
        self._measure(image_size)

    def describe(self) -> dict:
        """What `backbone_from_description` builds the same network from; JSON can hold it."""
        return {"name": self.name, "image_size": self.image_size, **self.options}

    def layer_depths(self) -> tuple[dict[str, int], int]:
        """Depth by parameter name, and N, the head's: those of timm's `group_matcher`.

        Raises InputError where timm names no layers of the model.
        """
        from timm.models import group_parameters  # slow to import

        model, rest = self.model, "<rest>"  # as a head, it matches no pattern: timm's last depth
        if not hasattr(model, "group_matcher"):
            raise InputError(f"optim.layer_decay: timm names no layers of {self.name}; leave it 1")
        names = SimpleNamespace(named_parameters=lambda: [*model.named_parameters(), (rest, None)])
        depths = group_parameters(names, model.group_matcher(coarse=False), reverse=True)
        last = depths.pop(rest)
        return {f"model.{name}": depth for name, depth in depths.items()}, last

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> tokens (B, S, C), without class and register tokens."""
        return self._tokens(self.forward_features(images))

    def forward_features(self, images: Tensor) -> Tensor:
        """What timm's model makes of the images, in its own layout and with its class token."""
        check_images(images, self.in_channels, self.image_size)
        return self.model.forward_features(images)

    def feature_map(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, C, h, w)."""
        # by a call, for hooks (FSDP's among them), but of a subclass whose `forward` gives others
        plain = type(self).forward is TimmBackbone.forward
        tokens = self(images) if plain else self._tokens(self.forward_features(images))
        return tokens_to_map(tokens, self.grid)

    def pyramid(self, images: Tensor) -> list[Tensor]:
        """Maps (B, C_i, h_i, w_i), fine to coarse; of an isotropic model four depths, normed."""
        check_images(images, self.in_channels, self.image_size)
        strides = [level["reduction"] for level in self.model.feature_info]
        isotropic = len(set(strides)) == 1
        indices = [depth - 1 for depth in even_depths(len(strides))] if isotropic else None
        return self.model.forward_intermediates(
            images, indices=indices, norm=isotropic, intermediates_only=True
        )

    @property
    def pooled_features(self) -> int:
        """Channels of `pooled`: some networks widen them between the map and the head."""
        return self.model.head_hidden_size

    def pooled(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, pooled_features), by the model's own pooling, as its head sees it."""
        return self.model.forward_head(self.forward_features(images), pre_logits=True)

    def tokens_and_pooled(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """What `forward` and `pooled` give, for the cost of one of them."""
        features = self.forward_features(images)
        return self._tokens(features), self.model.forward_head(features, pre_logits=True)

    def _tokens(self, features: Tensor | list[Tensor]) -> Tensor:  # (B, S, C)
        features = self._laid_out(features)
        if features.ndim == 4:
            return features.flatten(2).transpose(1, 2)
        return features[:, getattr(self.model, "num_prefix_tokens", 0) :]

    def _laid_out(self, features: Tensor | list[Tensor]) -> Tensor:
        """(B, C, h, w) or (B, prefix + S, C), whatever timm's layout is."""
        if isinstance(features, list):  # the branches of an HRNet, fine to coarse
            return features[0]
        nhwc = features.ndim == 4 and getattr(self.model, "output_fmt", "NCHW") == "NHWC"
        return features.permute(0, 3, 1, 2) if nhwc else features


def _timm_model(model: str, size, pretrained: bool, options: dict) -> nn.Module:
    import timm  # slow to import, and a Mixer does not need it

    if not timm.is_model(model):
        near = ", ".join(difflib.get_close_matches(model, timm.list_models())) or "nothing"
        raise InputError(f"timm has no model {model!r}; close to it: {near}")
    _check_tag(model, timm.list_models(f"{model.split('.')[0]}.*", pretrained=True))
    options = {"num_classes": 0, **options}
    if size and timm.get_pretrained_cfg(model).fixed_input_size:
        options["img_size"] = size  # the others take any size, and have no such option
    try:
        return timm.create_model(model, pretrained=pretrained, **options)
    except Exception as error:
        tried = f"timm.create_model({model!r}, pretrained={pretrained}, **{options})"
        way_out = "; or give weights=FILE, a local state dict" if pretrained else ""
        raise InputError(f"{tried} failed: {first_line(error)}{way_out}") from error


def _check_tag(model: str, tagged: list[str]) -> None:
    if "." in model and model not in tagged:
        tags = ", ".join(name.split(".", 1)[1] for name in tagged) or "none"
        raise InputError(f"timm has no weights {model!r}; tags of this model: {tags}")
