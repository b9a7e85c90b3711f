"""MLP-Pose's parts off and on: accelerate launch apps/pose/compare.py [PRESET] [--variants ...].

A variant is `plain` or names joined by +: of MLP-Pose's parts, `pretrained`, `frozen`. Each is
trained on each backbone with several seeds; runs lie in OUT/BACKBONE/VARIANT-SEED and go on where
they stopped. Printed and written (compare.json, compare.png): mean, spread, whether the variants
differ by more than seeds do, and how many parameters each has.

The preset `starts` compares what the network starts from instead (core/app/starts.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from apps.pose.config import ModelConfig, PoseConfig
from apps.pose.data.sets import PoseSets
from apps.pose.evaluation.baselines import score_median_pose
from apps.pose.evaluation.protocol import of_set
from apps.pose.models.network import PoseNet, backbone_of
from apps.pose.presets import debug as debug_run
from apps.pose.presets import lsp_mixer_small, lsp_mlp_pose_small, people_mlp_pose
from apps.pose.train import train
from core.app.commands import comparison_command
from core.app.comparing import Metric, Scores, check_lists, report, scores_of, train_all
from core.app.starts import Starts, Trial, begin_from, compare_starts
from core.checkpoints import find_checkpoint, read_info
from core.config import did_you_mean, entry_point, needs
from core.errors import InputError
from core.models.backbone import kind_of
from core.ranges import Seeds
from core.training.run import Run
from core.training.session import Session

PARTS = {
    "fuse": "the intra-level fuse module",
    "mixer": "the MLP-Mixer over places",
    "keypoint_mixer": "the MLP-Mixer over keypoints, in place of places",
    "pretrained": "the backbone from base.model.weights; without this word it is random",
    "frozen": "that backbone as it is",
}


@dataclass(frozen=True)
class CompareConfig:
    """Which runs; `base` says everything but backbone, parts, seed, folder and what is best."""

    base: PoseConfig = field(default_factory=people_mlp_pose)
    backbones: tuple[str, ...] = ()  # none: that of base
    variants: tuple[str, ...] = ("plain", "fuse", "mixer", "keypoint_mixer", "fuse+mixer")
    seeds: Seeds = (0, 1, 2)
    metric: str = "AP"  # of the validation people, at the end of a run
    out: str = "runs/pose/compare"


@dataclass(frozen=True)
class StartsConfig(Starts):
    """Which starts; `base` says everything but weights, learning rate, seed and folder.

    The table is of `base.run.best`.
    """

    base: PoseConfig = field(default_factory=lsp_mixer_small)


def people() -> CompareConfig:
    """Each part of MLP-Pose off and on, embedded people, 3 seeds: 15 runs of 4 minutes."""
    return CompareConfig()


@needs("base.data.root", "base.data.sets")
def lsp() -> CompareConfig:
    """Mixer and MLP-Pose on LSP-extended, random and pretrained, 3 seeds: 12 runs of 5 minutes.

    Set --base.data.root and --base.model.weights.
    """
    return CompareConfig(
        lsp_mlp_pose_small(),
        variants=("plain", "pretrained", "fuse+mixer", "pretrained+fuse+mixer"),
        metric="PCK@0.2 torso",
        out="runs/pose/compare_lsp",
    )


@needs("base.data.root", "base.data.sets")
def starts() -> StartsConfig:
    """LSP-extended's 8,691 people from random weights, `photos`, and the same permuted. Not run.

    Set --base.data.root; --weights for others.
    """
    base = lsp_mixer_small()
    base = replace(
        base,
        data=replace(base.data, train_json="keypoints_train_full.json"),
        model=replace(base.model, backbone="mixer_c256_l8_p8"),
        optim=replace(base.optim, lr=1e-3),
        run=replace(base.run, eval_every=0),
    )
    return StartsConfig(base=base, out="runs/pose/starts")


def debug() -> CompareConfig:
    """Two variants on a few embedded people, 2 steps each: does everything run?"""
    base = debug_run()
    base = replace(base, model=replace(base.model, mixer_depth=1, mixer_width=16))
    return CompareConfig(
        base, variants=("plain", "fuse+mixer"), seeds=(0, 1), out="runs/pose/compare_debug"
    )


PRESETS = {make.__name__: make for make in (people, lsp, starts, debug)}


def compare(config: CompareConfig | StartsConfig) -> Scores:
    """Train what is not trained yet, print and write the table."""
    if isinstance(config, StartsConfig):
        return scores_of(compare_starts(config, trial_of(config)), config.base.run.best)
    check(config)

    def one(backbone: str, variant: str, seed: int) -> Run:
        return train(one_run(config, backbone, variant, seed), keep_processes=True)

    backbones = backbones_of(config)
    figures, session = train_all(
        backbones, config.variants, config.seeds, one, watched=config.metric
    )
    if session.is_main:
        notes = [size_note(config, backbone) for backbone in backbones]
        report(config.out, config, [config.metric], config.seeds, figures, notes)
    return scores_of(figures, config.metric)


def backbones_of(config: CompareConfig) -> tuple[str, ...]:
    """The backbones that are compared; none named: that of base."""
    return config.backbones or (config.base.model.backbone,)


def check(config: CompareConfig) -> None:
    """Raise InputError before training for what is not known, or said twice."""
    check_lists(
        ("backbones",),
        backbones=config.backbones,
        variants=config.variants,
        seeds=config.seeds,
    )
    for variant in config.variants:
        with_parts(config.base.model, variant)
    for backbone in backbones_of(config):
        kind_of(backbone)


def with_parts(model: ModelConfig, variant: str) -> ModelConfig:
    """The same network with those parts that ``variant`` names, and no others."""
    words = set(variant.split("+")) - {"plain"}
    for word in words - PARTS.keys():
        raise InputError(f"variants: no {word!r}.{did_you_mean(word, ['plain', *PARTS])}")
    mixers = words & {"mixer", "keypoint_mixer"}
    if len(mixers) == 2 or ("frozen" in words and "pretrained" not in words):
        raise InputError(f"variants: {variant!r}: one mixer at most, and only pretrained is frozen")
    if mixers and not model.mixer_depth:
        raise InputError(f"variants: {variant!r}: base.model.mixer_depth is 0; give its blocks")
    if "pretrained" in words and not model.weights:
        raise InputError(f"variants: {variant!r}: base.model.weights is empty; give the weights")
    return replace(
        model,
        fuse="fuse" in words,
        mixer_depth=model.mixer_depth if mixers else 0,
        mixer_tokens="keypoints" if "keypoint_mixer" in words else "grid",
        weights=model.weights if "pretrained" in words else "",
        freeze="frozen" in words,
    )


def folder(config: CompareConfig, backbone: str, variant: str, seed: int) -> Path:
    """Where the run of one cell lies."""
    return Path(config.out) / backbone.replace(":", "_") / f"{variant}-{seed}"


def one_run(config: CompareConfig, backbone: str, variant: str, seed: int) -> PoseConfig:
    """The run of one backbone, variant and seed."""
    path, base = folder(config, backbone, variant, seed), config.base
    model = with_parts(replace(base.model, backbone=backbone), variant)
    # the metric of the table: one that the evaluation lacks is refused before the first run
    run = replace(base.run, folder=str(path), seed=seed, resume=True, best=config.metric)
    return replace(base, model=model, run=run)


def size_note(config: CompareConfig, backbone: str) -> str:
    """Millions of parameters of each variant."""
    sizes = []
    for variant in config.variants:
        checkpoint = find_checkpoint(folder(config, backbone, variant, config.seeds[0]))
        network = PoseNet.from_description(read_info(checkpoint), str(checkpoint))
        millions = sum(parameter.numel() for parameter in network.parameters()) / 1e6
        sizes.append(f"{variant} {millions:.2f}")
    return f"{backbone}, millions of parameters: {', '.join(sizes)}"


def trial_of(config: StartsConfig) -> Trial:
    """What `compare_starts` is told of this app."""
    return Trial(
        begin_from,
        build=lambda run: backbone_of(run.model),
        train=partial(train, keep_processes=True),
        metrics=[Metric(config.base.run.best)],
        floors=partial(median_poses, config.base),
    )


def median_poses(config: PoseConfig, session: Session) -> list[str]:
    """What the median pose has in each set, a line each."""
    lines = []
    for name, data in PoseSets(config, session).sets.items():
        scores = of_set(name, score_median_pose(data))
        words = ", ".join(f"{metric} {value:.4f}" for metric, value in scores.items())
        lines.append(f"floor, the median pose: {words}")
    return lines


@entry_point
def main() -> None:
    comparison_command(compare, PRESETS)


if __name__ == "__main__":
    main()
