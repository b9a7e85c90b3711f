"""What Avg 5 and VTAB-1k consist of, and how their data sets are fine-tuned."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """One data set of a suite: its number of classes, and the split that is scored."""

    classes: int
    split: str = "test"
    group: str = ""


@dataclass(frozen=True)
class Suite:
    """Data sets by name, and how they are fine-tuned."""

    title: str
    tasks: dict[str, Task]
    protocol: tuple[str, ...]


# MLP-Mixer, section 3 and appendix C; the steps and learning rates are those of ViT's Table 4.
AVG5 = Suite(
    title="Avg 5: mean top-1 over ImageNet, CIFAR-10, CIFAR-100, Pets and Flowers-102",
    tasks={
        "imagenet": Task(1000, "val"),
        "cifar10": Task(10),
        "cifar100": Task(100),
        "pets": Task(37),
        "flowers102": Task(102),
    },
    protocol=(
        "SGD, momentum 0.9, batch 512, gradient norm 1, no weight decay, new zero head",
        "cosine decay, linear warm-up of 500 steps, or 100 where there are 500 steps (vit_jax)",
        "224 px unless stated; the published figures are means of 3 runs",
        "imagenet: 20,000 steps, lr of .003 .01 .03 .06, chosen on 1% of train",
        "cifar10, cifar100: 10,000 steps, lr of .003 .01 .03 .06, chosen on 2% of train",
        "pets, flowers102: 500 steps, lr of .003 .01 .03 .06, chosen on 10% of train",
    ),
)

# The tasks are those of google-research/task_adaptation. Its README has no groups: natural 7,
# specialized 4 and structured 8 are as public users of VTAB list them, not checked in the paper.
VTAB = Suite(
    title="VTAB-1k: mean top-1 over 19 tasks with 1,000 training examples each",
    tasks={
        "caltech101": Task(102, group="natural"),
        "cifar100": Task(100, group="natural"),
        "dtd": Task(47, group="natural"),
        "flowers102": Task(102, group="natural"),
        "pets": Task(37, group="natural"),
        "sun397": Task(397, group="natural"),
        "svhn": Task(10, group="natural"),
        "eurosat": Task(10, group="specialized"),
        "resisc45": Task(45, group="specialized"),
        "patch_camelyon": Task(2, group="specialized"),
        "retinopathy": Task(5, group="specialized"),
        "clevr_count": Task(8, group="structured"),
        "clevr_distance": Task(6, group="structured"),
        "dmlab": Task(6, group="structured"),
        "dsprites_location": Task(16, group="structured"),  # x position in 16 bins
        "dsprites_orientation": Task(16, group="structured"),  # in 16 bins
        "kitti_distance": Task(4, group="structured"),  # closest vehicle
        "smallnorb_azimuth": Task(18, group="structured"),
        "smallnorb_elevation": Task(9, group="structured"),
    },
    protocol=(
        "800 examples to train and 200 to choose by, then all 1,000; scored on the whole test set",
        "MLP-Mixer: 2,500 steps, lr of .003 .01 .03; BiT-HyperRule for the rest",
        "224 px for the tasks of small images, 448 px for those of large ones",
        "retinopathy and resisc45 must be downloaded by hand",
        "structured tasks too are folders or Hub data sets of labelled images",
    ),
)
SUITES = {"avg5": AVG5, "vtab-1k": VTAB}
