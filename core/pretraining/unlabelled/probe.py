"""A linear probe of the features while they are learnt, on labelled images: evaluation only."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from core.data.sources import open_images, same_source
from core.errors import InputError
from core.evaluation import fewshot
from core.pretraining.unlabelled.config import UnlabelledConfig
from core.training.session import Session

METRICS = ("top1",)  # the mean over the draws of examples


class Probe:
    """The closed-form probe of core/evaluation/fewshot.py, from one split of val.root to another.

    Raises InputError, before training, for what the probe could not do after hours of it.
    """

    def __init__(self, config: UnlabelledConfig):
        self.config = fewshot.Config(
            train=replace(config.val, split=config.val_train_split),
            test=config.val,
            shots=(config.shots,),
            pool=max(fewshot.Config.pool, config.shots),
            protocol=config.protocol,
            eval=config.eval,
        )
        train = open_images(config.val.root, config.val_train_split)
        test = open_images(config.val.root, config.val.split)
        if same_source(train.source, test.source):
            raise InputError(
                f"val.root, {config.val.root}, has no {config.val_train_split} and "
                f"{config.val.split} below it: a probe learns from labelled pictures of the one "
                "and is asked of the other, <root>/<split>/<class>/<picture>. Or leave val.root out"
            )
        fewshot.draw_examples(train.labels, config.shots, 0, train.classes)

    def __call__(self, session: Session, backbone: nn.Module) -> dict[str, float]:
        """{"top1": the mean over the draws of examples}; all processes call it."""
        (row,) = fewshot.probe_rows(self.config, session, backbone, sections=("val", "val"))
        return dict.fromkeys(METRICS, row["mean"])
