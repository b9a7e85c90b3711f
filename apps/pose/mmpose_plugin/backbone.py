"""Any backbone of core in an mmpose model."""

from __future__ import annotations

from typing import Any

from mmpose.models.backbones.base_backbone import BaseBackbone
from mmpose.registry import MODELS
from torch import Tensor

from apps.pose.models.levels import level_maps, level_shapes
from core import InputError, create_backbone


@MODELS.register_module()
class MixerBackbone(BaseBackbone):
    """`core.create_backbone(name, image_size, **options)` as mmpose has its backbones.

    ``input_size`` is (width, height), as for mmpose's codecs and heads. ``out_indices`` chooses
    levels of `pyramid`, 0 the finest; without it there is one map, that of `feature_map`. What they
    do not need of the network is not trained. ``frozen``: nothing is trained, and the network stays
    in evaluation mode.

    Weights are read by `init_weights`, which the Runner calls before training, from
    ``init_cfg=dict(type="Pretrained", checkpoint=...)``: whatever create_backbone takes as
    ``weights`` ("imagenet21k", a run of ours, "timm", ...), moved to the input size. With a
    ``prefix`` it is mmengine that reads the checkpoint, one of mmpose's. The network itself is
    always what name and options say, so that a trained model is loaded without those files.

    The data_preprocessor's mean and std have to be those that the weights expect: 127.5 and 127.5
    of Mixers, ImageNet's of most timm models (`create_backbone(name, size).normalization`).
    """

    def __init__(
        self,
        name: str,
        input_size: tuple[int, int],
        out_indices: tuple[int, ...] = (),
        frozen: bool = False,
        init_cfg: dict | None = None,
        **options: Any,
    ):
        super().__init__(init_cfg)
        self.name, self.options, self.frozen = name, options, frozen
        self.out_indices = tuple(out_indices)
        self.net = create_backbone(name, tuple(input_size)[::-1], **options)
        _, unused = level_shapes(self.net, self.out_indices)
        for name, parameter in self.net.named_parameters():
            parameter.requires_grad_(not frozen and name not in unused)
        self.train()

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W), normalized -> maps (B, C, h, w)."""
        return tuple(level_maps(self.net, images, self.out_indices))

    def train(self, mode: bool = True) -> MixerBackbone:
        """As nn.Module; what is frozen stays in evaluation mode (BatchNorm, stochastic depth)."""
        super().train(mode)
        self.net.train(mode and not self.frozen)
        return self

    def init_weights(self) -> None:
        """Read the weights that init_cfg names. Raises InputError where they do not fit."""
        config = self.init_cfg or {}
        if config.get("type") != "Pretrained" or "prefix" in config:
            super().init_weights()
            return
        self._load(config["checkpoint"])
        self.is_init = True

    def _load(self, weights: str) -> None:
        source = create_backbone(self.name, self.net.image_size, weights, **self.options)
        # Weights decide on a Mixer's GELU, say. Here it is the config that says what is built.
        own, theirs = self.net.describe(), source.describe()
        if differ := [f"{key}={value!r}" for key, value in theirs.items() if own[key] != value]:
            raise InputError(
                f"{weights} holds {self.name} of {', '.join(differ)}: say so in the config's "
                "backbone, where its name is"
            )
        self.net.load_state_dict(source.state_dict())
