"""Pictures in four turns: item i is picture i // 4, turned i % 4 quarters against the clock."""

import numpy as np
from PIL import Image
from torch.utils.data import Dataset

from apps.upright.config import DataConfig
from core.data.images.files import decode
from core.data.images.folders import find_images
from core.data.transforms import eval_transform

TURNS = ["0", "90", "180", "270"]  # degrees, the classes


def transform_for(network):
    """What turns a picture into the network's input."""
    return eval_transform("direct", network.backbone.image_size, network.backbone.normalization)


class Turned(Dataset):
    """{"image": transform(picture), "label": quarter turns} of one split, "train" or "val"."""

    def __init__(self, config: DataConfig, split: str, transform=None):
        self.files = find_images([f"{config.root}/{split}"]) if config.root else []
        self.count, self.transform = len(self.files) or 50, transform
        self.seed = ("train", "val").index(split)

    def __len__(self) -> int:
        return 4 * self.count

    def picture(self, index: int) -> Image.Image:
        if self.files:
            return decode(str(self.files[index]))
        rng = np.random.default_rng((self.seed, index))  # a landscape: bright sky, rough ground
        scene = rng.integers(150, 256, 3) - np.arange(48).reshape(48, 1, 1) + np.zeros((1, 48, 1))
        scene[(top := rng.integers(20, 40)) :] = rng.integers(0, 110, 3)
        scene[top:] += rng.normal(0, 20, scene[top:].shape)
        return Image.fromarray(scene.clip(0, 255).astype(np.uint8))

    def __getitem__(self, index: int) -> dict:
        picture = self.picture(index // 4).rotate(90 * (index % 4), expand=True)
        return {"image": self.transform(picture) if self.transform else picture, "label": index % 4}
