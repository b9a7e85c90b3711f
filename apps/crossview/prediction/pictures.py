"""What a generator makes of one image, in files: the image, a sheet of all stages, candidates."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from apps.crossview.evaluation.pictures import as_pixels, drawn_columns, image_sheet, weights_image
from apps.crossview.models.network import Generator, draw_views
from apps.crossview.prediction.readers import Content
from core.pictures.sheets import save_image
from core.training.session import Session

IMAGE, SHEET, CANDIDATES = ".png", "-sheet.png", "-candidates.png"
ENDINGS = (IMAGE, SHEET, CANDIDATES)  # of the files that an image becomes
ENLARGED = 160  # pixels that a picture of a sheet has at least, about


@torch.inference_mode()
def draw_one(
    session: Session, network: Generator, name: str, content: Content, folder: Path
) -> dict[str, str]:
    """Write folder/NAME.png, NAME-sheet.png and, of a network that chooses, NAME-candidates.png.

    content: source (3, H, W) and classes (H, W) of the view to draw. Gives the files' names.
    """
    source, ids = content
    with session.accelerator.autocast():
        views = (x[None].to(session.device) for x in content)
        output = draw_views(network, *views)
    output = {key: value[0].cpu() for key, value in output.items()}
    enlarge = max(1, round(ENLARGED / source.shape[1]))
    print(save_image(folder / f"{name}{IMAGE}", as_pixels(output["image"])), flush=True)
    columns = {title: [image] for title, image in stages(network, source, ids, output).items()}
    save_image(folder / f"{name}{SHEET}", image_sheet(columns, enlarge))
    record = {"sheet": f"{name}{SHEET}"}
    if "candidates" in output:
        save_image(folder / f"{name}{CANDIDATES}", image_sheet(candidates(output), enlarge))
        record["candidates"] = f"{name}{CANDIDATES}"
    return record


def stages(
    network: Generator, source: Tensor, ids: Tensor, output: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Pictures (3, H, W) in [-1, 1] by title, from what is given to what is made."""
    columns = {"source": source}
    if network.needs_map:
        columns["given map"] = network.palette.paint(ids)
    columns |= drawn_columns(output, network.palette)
    if "uncertainty" in output:  # (1, H, W)
        columns["uncertainty"] = weights_image(output["uncertainty"][0].float())
    return columns


def candidates(output: dict[str, Tensor]) -> dict[str, list[Tensor]]:
    """Columns by number: a candidate (3, H, W) above its attention (H, W)."""
    pairs = zip(output["candidates"], output["attention"].float(), strict=True)
    return {str(number): [image, weights_image(a)] for number, (image, a) in enumerate(pairs, 1)}
