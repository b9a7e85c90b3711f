"""Draw the other view: python apps/crossview/predict.py RUN [AERIAL ...] [--map MAP or FOLDER].

Each image becomes NAME.png, what the generator makes of it, NAME-sheet.png, that beside the source,
the maps, the coarse image and the uncertainty, and, where the network chooses among candidates,
NAME-candidates.png, these above their attention. A generator that takes the map of the view it
draws needs --map: a file, or a folder of files with the images' names; colours of the run's
palette, or ids. Without images, some validation pairs of the run are taken.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from apps.crossview.data.pairs import class_ids
from apps.crossview.data.records import SUFFIXES
from apps.crossview.data.source import PairData
from apps.crossview.data.views import SIDES, map_ids, map_input
from apps.crossview.eval import open_run
from apps.crossview.evaluation.pictures import save_image, sheet, weights_image
from apps.crossview.models.network import Generator
from core.config import entry_point
from core.data.images.files import decode, find_images
from core.errors import InputError, first_line
from core.files import distinct_name
from core.training.session import Session, build_accelerator

MAPLESS = ("xfork", "xseq")  # generators that draw without a map
ENLARGED = 160  # pixels that a picture of a sheet has at least, about


@entry_point
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", help="folder of a run, or of one of its checkpoints")
    parser.add_argument("images", nargs="*", help="images or folders")
    parser.add_argument("--map", type=Path, help="map of the view to draw, or a folder of maps")
    parser.add_argument(
        "--output", type=Path, help="folder for pictures (RUN/pictures/predictions)"
    )
    parser.add_argument("--count", type=int, default=6, help="pairs, where no image is given")
    _predict(parser.parse_args())


def _predict(options: argparse.Namespace) -> None:
    session = Session(build_accelerator())
    config, network, checkpoint = open_run(options.run, session)
    output = options.output or checkpoint.parents[1] / "pictures" / "predictions"
    if options.images:
        paths = find_images(options.images, SUFFIXES)
        _check_maps(network, paths, options.map)
        jobs = [(path.stem, str(path), _reader(network, path, options.map)) for path in paths]
        _keep_inputs(output, [*paths, *([options.map] if options.map else [])])
    else:
        val, side = PairData(config, session).val(), SIDES[config.direction]
        if options.count < 1:
            raise InputError(f"--count is {options.count}: at least 1")
        places = np.linspace(0, len(val) - 1, min(options.count, len(val))).round().astype(int)
        jobs = [(Path(val.records[i].name).stem, val.records[i].name, _item(val, i, side))
                for i in places.tolist()]  # fmt: skip
    if session.is_main:
        _draw_all(session, network, jobs, output)


def _draw_all(session: Session, network: Generator, jobs: list, output: Path) -> None:
    taken: set[str] = set()
    for stem, source, load in jobs:
        try:
            image, ids = load()
        except Exception as error:  # decoders raise many kinds
            print(f"left out: {source}: {first_line(error)}", file=sys.stderr, flush=True)
            continue
        name = distinct_name(stem, taken)
        draw(session, network, image, ids, output / name)
        print(f"{source}: {output / name}.png", flush=True)
    if len(taken) < len(jobs):
        raise InputError(f"{len(jobs) - len(taken)} of {len(jobs)} images could not be drawn")


@torch.inference_mode()
def draw(session: Session, network: Generator, image: Tensor, ids: Tensor, path: Path) -> None:
    """Write the pictures of one image (3, H, W) with the map (H, W) of the view to draw."""
    maps, palette = network.config.maps, network.palette
    source, ids = image[None].to(session.device), ids[None].to(session.device)
    with session.accelerator.autocast():
        output = network(source, map_input(ids, palette, maps))
    output = {name: value.float().cpu() for name, value in output.items()}
    columns = {"source": image}
    if _needs_map(network):
        columns["given map"] = palette.paint(ids[0].cpu())
    if "coarse" in output:
        columns["coarse"] = output["coarse"][0]
    columns["made"] = output["image"][0]
    drawn = output.get("map_final", output.get("map"))
    if drawn is not None:
        columns["drawn map"] = palette.paint(map_ids(drawn, palette, maps)[0])
    if "uncertainty" in output:
        columns["uncertainty"] = weights_image(output["uncertainty"][0, 0])
    enlarge = max(1, round(ENLARGED / image.shape[1]))
    save_image(path.with_name(f"{path.name}.png"), output["image"][0])
    page = sheet([list(columns.values())], list(columns), enlarge)
    save_image(path.with_name(f"{path.name}-sheet.png"), page)
    if "candidates" in output:
        rows = [list(output["candidates"][0]), [weights_image(a) for a in output["attention"][0]]]
        page = sheet(rows, [str(i + 1) for i in range(len(rows[0]))], enlarge)
        save_image(path.with_name(f"{path.name}-candidates.png"), page)


def _needs_map(network: Generator) -> bool:
    return network.config.generator not in MAPLESS and len(network.palette) > 1


def _check_maps(network: Generator, paths: list[Path], given: Path | None) -> None:
    if given is None and _needs_map(network):
        known = ", ".join(network.palette.names)
        raise InputError(
            f"{network.config.generator} draws along a map of the view to draw: give it as --map, "
            f"with the classes {known}"
        )
    if given is not None and not given.exists():
        raise InputError(f"{given} does not exist: --map is a file, or a folder of maps")
    if given is not None and given.is_file() and len(paths) > 1:
        raise InputError(f"one map for {len(paths)} images: give a folder of maps as --map")


def _keep_inputs(output: Path, inputs: list[Path]) -> None:
    made = {(output / f"{path.stem}{end}.png").resolve() for path in inputs
            for end in ("", "-sheet", "-candidates")}  # fmt: skip
    for path in inputs:
        if path.resolve() in made:
            raise InputError(f"{path} would be overwritten: choose another --output")


def _reader(network: Generator, path: Path, given: Path | None):
    def load() -> tuple[Tensor, Tensor]:
        height, width = network.size
        image = decode(str(path)).resize((width, height), Image.BICUBIC)
        pixels = torch.from_numpy(np.array(image)).movedim(-1, 0) / 127.5 - 1
        if given is None:
            return pixels, torch.zeros(height, width, dtype=torch.int64)
        return pixels, _read_map(network, _map_of(path, given))

    return load


def _map_of(path: Path, given: Path) -> Path:
    if given.is_file():
        return given
    found = [given / f"{path.stem}{suffix}" for suffix in SUFFIXES]
    there = next((file for file in found if file.is_file()), None)
    if there is None:
        raise ValueError(f"no map of its name in {given}")
    return there


def _read_map(network: Generator, path: Path) -> Tensor:
    with Image.open(path) as image:
        pixels = np.asarray(image if image.mode == "L" else image.convert("RGB"))
    try:
        ids = class_ids(pixels, network.palette)
    except ValueError as error:
        raise ValueError(f"the map {path} {error}") from error
    height, width = network.size
    resized = Image.fromarray(ids).resize((width, height), Image.NEAREST)
    return torch.from_numpy(np.array(resized)).long()


def _item(val, index: int, side: tuple[str, str]):
    def load() -> tuple[Tensor, Tensor]:
        item = val[index]
        return item[side[0]], item[f"{side[1]}_map"]

    return load


if __name__ == "__main__":
    main()
