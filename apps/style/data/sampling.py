"""Square-root sampling: classes are drawn in proportion to the roots of their sizes.

Kang et al. 2020 (arXiv 1910.09217), equation 1 with q = 1/2, after Mahajan et al. 2018 (arXiv
1805.00932): p_c = sqrt(n_c) / sum over the classes of sqrt(n_k). Within a class all images are
equally probable, and any may come twice an epoch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from core.data.images.labelled import LabelledImages


class SquareRoot(Dataset):
    """A data set of the same length whose every item is drawn anew.

    Item i is drawn by torch's global generator, which a loader seeds by (seed, epoch, i), and by i:
    the same on any number of processes, another in each epoch, and another where i+1 stands in for
    an item i that cannot be read.
    """

    def __init__(self, images: LabelledImages):
        self.images, self.source, self.classes = images, images.source, images.classes
        self.places = [np.flatnonzero(np.equal(images.labels, c)) for c in set(images.labels)]
        roots = np.sqrt([len(places) for places in self.places])
        self.probabilities = roots / roots.sum()

    def __len__(self) -> int:
        return len(self.images)

    def __str__(self) -> str:
        return f"{self.source}, square-root sampling"

    def __getitem__(self, index: int) -> dict[str, Any]:
        # two numbers of one generator: the class, then the painting
        rng = np.random.default_rng([int(torch.randint(2**62, ())), index])
        places = self.places[rng.choice(len(self.places), p=self.probabilities)]
        return self.images[int(rng.choice(places))]
