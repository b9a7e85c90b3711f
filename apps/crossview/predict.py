"""Draw the other view: python apps/crossview/predict.py [RUN] [AERIAL ...] [--map MAP or FOLDER].

Each image becomes NAME.png, what the generator makes of it, NAME-sheet.png, that beside the source,
the maps, the coarse image and the uncertainty, and, where the network chooses among candidates,
NAME-candidates.png, these above their attention; in RUN/predictions, or in --output. A generator
that takes the map of the view it draws needs --map: a file, or a folder of files with the images'
names; colours of the run's palette, or ids. Without a RUN the kept network `towns` draws, which
takes none. Without images, some validation pairs are taken.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from apps.crossview.config import CrossViewConfig
from apps.crossview.data.source import PairData
from apps.crossview.models.network import Generator
from apps.crossview.prediction.pictures import ENDINGS, draw_one
from apps.crossview.prediction.readers import (
    map_files,
    own_images,
    pair_files,
    validation_pairs,
)
from core.app.predicting import (
    add_max_pixels,
    foreign,
    output_folder,
    pixel_limit,
    predict_each,
    prediction_parser,
    refuse_kept,
    run_and_inputs,
)
from core.app.runs import reopen
from core.config import entry_point
from core.training.session import Session, build_accelerator


@entry_point
def main() -> None:
    parser = prediction_parser(__doc__, "images or folders", count=6, kept=Generator.KEPT)
    parser.add_argument("--map", type=Path, help="map of the view to draw, or a folder of maps")
    parser.add_argument("--bits", type=int, choices=range(8, 17), help="of 16-bit grey (the run's)")
    add_max_pixels(parser, "a larger one is left out")
    words = parser.parse_intermixed_args()
    named, words.inputs = run_and_inputs(words.inputs, Generator.KEPT)
    session = Session(build_accelerator())
    run = reopen(named, CrossViewConfig, Generator, session)
    limit = pixel_limit(words, run.config.data.max_pixels)
    if words.inputs:
        for line in foreign(
            not run.config.data.root, "towns that a program rendered", "real places"
        ):
            session.print(line)
        maps = words.map if run.network.needs_map else None
        if words.map and not maps:
            session.print(f"{words.map} is not looked at: this network draws without a map")
        data = replace(run.config.data, bits=words.bits or run.config.data.bits)
        items = own_images(run.network, words.inputs, maps, data, limit)
        protected = map_files(words.map)
    else:
        refuse_kept(run, "images or a folder")
        val = PairData(run.config, session, limit).val()
        items = validation_pairs(val, run.config.direction, words.count)
        protected = pair_files(val)
    one = partial(draw_one, session, run.network)
    predict_each(session, items, output_folder(words, run), one, ENDINGS, protected=protected)


if __name__ == "__main__":
    main()
