"""Keep a run's weights in the package, to be opened by a name:

python -m core.models.weights.keep RUN --name photos --data WORDS --terms WORDS [--limits WORDS ...]

What is written is core/models/weights/kept/NAME: the backbone of RUN's best checkpoint (its moving
average where there is one) in half precision, its head, config.json and a model card, all of it or
nothing. See `names.py` for what opens it.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from core.checkpoints import find_checkpoint, read_info
from core.config import entry_point
from core.errors import InputError
from core.files import whole_folder, write_json, write_text
from core.models.backbone import create_backbone
from core.models.shapes import as_pair
from core.models.weights import names
from core.models.weights.card import record_of
from core.models.weights.download import OFFICIAL
from core.models.weights.evaluations import numbers, read_evaluations
from core.models.weights.kept_card import kept_card
from core.models.weights.names import About, network_of
from core.models.weights.reading import read_stored
from core.models.weights.stored import StoredModel

LIMIT = 10_000_000  # bytes of a file: a clone carries every version of it for ever
DTYPES = ("float16", "bfloat16")
SAMPLE = 8  # images of noise on which the rounding is measured


def keep(
    run: str | Path,
    name: str,
    trained_on: str,
    terms: str,
    limits: Sequence[str] = (),
    license: str = "apache-2.0",
    evaluations: Sequence[str | Path] = (),
    dtype: str = "float16",
    head: bool = True,
    out: str | Path | None = None,
) -> Path:
    """Write the folder out/`name` of a run, or of one of its checkpoints; returns it.

    trained_on, terms, limits: sentences for the card, see About. evaluations: json files that
    core/eval.py wrote; RUN/eval.json and RUN/transfer/*.json are taken too. head: keep the
    classifier's. out: the package's folder unless given. Raises InputError where the name or the
    folder is taken, for another network than a Mixer, for weights beyond the range of `dtype`, and
    for a file of more than 10 MB.
    """
    _check_name(name)
    checkpoint = find_checkpoint(run)
    stored = read_stored(checkpoint)
    stored = stored if head else replace(stored, head=None, classes=None)
    # by its name, as people will: without what only its training had, such as stochastic depth
    network = create_backbone(network_of(stored.description), weights=stored).eval()
    sizes, folder = _image_sizes(checkpoint, network), Path(out or names.FOLDER, name)
    measured = _figures(checkpoint, evaluations)
    about = About(trained_on, terms, license, sizes, tuple(limits), dtype, **measured)
    with whole_folder(folder) as draft:
        _write_state(draft / "model.safetensors", network, stored, dtype)
        write_json(draft / "config.json", _info(network, stored, about))
        about = replace(about, rounding=_rounding(network, draft))
        write_json(draft / "config.json", _info(network, stored, about))
        write_text(draft / "README.md", kept_card(name, network, about, stored.head, checkpoint))
    return folder


def _check_name(name: str) -> None:
    if name in (*OFFICIAL, "timm") or not re.fullmatch(r"[a-z][a-z0-9_-]*", name):
        raise InputError(
            f"name is {name!r}: choose small letters, digits, - and _, and none of "
            f"{', '.join(OFFICIAL)}, timm"
        )


def _write_state(file: Path, network: nn.Module, stored: StoredModel, dtype: str) -> None:
    state = {f"backbone.{key}": value for key, value in network.state_dict().items()}
    state |= {f"head.{key}": value for key, value in (stored.head or {}).items()}
    save_file({key: _rounded(key, value, dtype) for key, value in state.items()}, file)
    if (size := file.stat().st_size) > LIMIT:
        raise InputError(
            f"{stored.origin}: {size / 1e6:.1f} MB in {dtype}, and at most {LIMIT / 1e6:g} are "
            "kept: share larger ones with push_to_hub"
        )


def _rounded(key: str, value: Tensor, dtype: str) -> Tensor:
    rounded = value.to(getattr(torch, dtype)).contiguous()
    if not rounded.isfinite().all():
        raise InputError(
            f"{key} has values up to {value.abs().max():.3g}, which {dtype} cannot hold: "
            f"choose another of {', '.join(DTYPES)}, or see whether the training diverged"
        )
    return rounded


def _info(network: nn.Module, stored: StoredModel, about: About) -> dict[str, Any]:
    """config.json, as that of every folder of ours, and what is said of the weights."""
    info = {"backbone": network.describe()}
    if stored.head:
        classes = len(stored.head["bias"])
        info["head"] = {"num_classes": classes, "classes": stored.classes}
    return {**info, "about": about}


def _image_sizes(checkpoint: Path, network: nn.Module) -> tuple[tuple[int, int], ...]:
    """Those that the run's settings name; else the one of the network."""
    import yaml

    record = record_of(checkpoint)
    settings = yaml.safe_load(record.read_text()) if record.is_file() else {}
    sizes = (settings.get("model") or {}).get("sizes") or ()
    return tuple(as_pair("model.sizes", size) for size in sizes) or (network.image_size,)


def _figures(checkpoint: Path, files: Sequence[str | Path]) -> dict[str, Any]:
    """About's figures and evaluations: measured while it trained, and afterwards."""
    run = record_of(checkpoint).parent
    found = [run / "eval.json", *sorted((run / "transfer").glob("*.json"))]
    files = [*(file for file in found if file.is_file()), *map(Path, files)]
    figures = dict(numbers(read_info(checkpoint).get("metrics") or {}))
    return {"figures": figures, "evaluations": read_evaluations(files)}


@torch.no_grad()
def _rounding(network: nn.Module, draft: Path) -> float:
    """The largest difference of a feature between the network and what was written of it.

    As a share of the largest feature, on images of seeded noise.
    """
    again = create_backbone(network_of(network.describe()), weights=draft).eval()
    noise = torch.rand(SAMPLE, 3, *network.image_size, generator=torch.Generator().manual_seed(0))
    expected = network(2 * noise - 1)
    return float((again(2 * noise - 1) - expected).abs().max() / expected.abs().max())


@entry_point
def main(argv: Sequence[str] | None = None) -> None:
    lines = __doc__.split("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m core.models.weights.keep", description=lines[2]
    )
    add = parser.add_argument
    add("run", metavar="RUN", help="folder of a run or of one of its checkpoints")
    add("--name", required=True, help="what create_backbone's weights=NAME will say")
    add("--data", required=True, help="what it was trained on, in a sentence")
    add("--terms", required=True, help="the terms of that data, in a sentence")
    add("--limits", nargs="+", default=[], help="what the weights are not good for, in sentences")
    add("--license", default="apache-2.0", help="of the weights, as the Hub calls it")
    add("--evaluations", nargs="+", default=[], metavar="FILE", help="json files of core/eval.py")
    add("--dtype", choices=DTYPES, default=DTYPES[0])
    add("--no-head", dest="head", action="store_false", help="leave the classifier's head out")
    add("--out", metavar="FOLDER", help="in which the folder NAME is made; default: the package's")
    words = vars(parser.parse_args(argv))
    folder = keep(words.pop("run"), words.pop("name"), words.pop("data"), **words)
    print(f"{folder}: {(folder / 'model.safetensors').stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
