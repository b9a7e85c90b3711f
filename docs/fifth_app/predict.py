"""Turn pictures upright: python apps/upright/predict.py RUN [PICTURE or FOLDER ...]."""

from functools import partial

import torch

from apps.upright.config import UprightConfig
from apps.upright.data import TURNS, Turned, transform_for
from core.app.predicting import Item, output_folder, predict_each, prediction_parser
from core.app.runs import reopen
from core.config import entry_point
from core.data.images.files import decode
from core.data.images.folders import find_images
from core.data.samples import evenly_spaced
from core.models.classifier import Classifier
from core.pictures.sheets import save_image
from core.training.session import Session, build_accelerator


@entry_point
def main() -> None:
    words = prediction_parser(__doc__, "pictures or folders", count=4).parse_intermixed_args()
    session = Session(build_accelerator())
    run = reopen(words.run, UprightConfig, Classifier, session)
    items = [Item(str(f), partial(decode, str(f))) for f in find_images(words.inputs)]
    val = Turned(run.config.data, "val")
    samples = [] if items else evenly_spaced(len(val), words.count)
    items += [Item(f"val-{i:04d}", lambda i=i: val[i]["image"]) for i in samples]
    transform = transform_for(run.network)

    def upright(name, picture, folder) -> dict:
        with torch.inference_mode():
            turn = int(run.network(transform(picture)[None].to(session.device)).argmax())
        save_image(folder / f"{name}.png", picture.rotate(-90 * turn, expand=True))
        return {"turned": TURNS[turn]}

    predict_each(session, items, output_folder(words, run), upright, [".png"], "pictures")


if __name__ == "__main__":
    main()
