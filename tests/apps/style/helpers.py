"""What the tests of the style app share: data sets on disk, and runs of the debug preset."""

import csv
import io
from dataclasses import replace

import numpy as np
from PIL import Image

from apps.style.config import DataConfig
from apps.style.data.dataset import open_paintings
from apps.style.presets import debug

CLASSES, TRAIN, VAL = 12, 3, 1  # embedded styles, and paintings of each


def complaint(done):
    """The one line for a person."""
    assert done.returncode == 2, done.output
    (line,) = [line for line in done.output.splitlines() if line.startswith("error:")]
    assert "Traceback" not in done.output
    return line


def config_of(folder, root="", **changes):
    """The debug preset with other fields; steps, batch_size and so on go to the run."""
    base = debug()
    names = set(base.run.__dataclass_fields__)
    run = {name: value for name, value in changes.items() if name in names}
    rest = {name: value for name, value in changes.items() if name not in names}
    data = rest.pop("data", replace(base.data, root=str(root)))
    return replace(base, data=data, run=replace(base.run, folder=str(folder), **run), **rest)


def listed(root, side):
    """(path, style) of one side of the embedded paintings."""
    classes = (root / "Style/style_class.txt").read_text().split()[1::2]
    with open(root / f"Style/style_{side}.csv", newline="") as file:
        return [(str(root / path), classes[int(label)]) for path, label in csv.reader(file)]


def write_csv(path, rows):
    path.write_text("\n".join(["path,class,split", *map(",".join, rows)]))
    return path


def painting(number, kind="JPEG", mode="RGB", size=(24, 16)):
    rng = np.random.default_rng(number)
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (*size[::-1], 3), np.uint8)).convert(mode).save(
        buffer, kind
    )
    return buffer.getvalue()


def write_artgan(root, classes=("Art_Nouveau", "Baroque"), train=6, val=3):
    """An ArtGAN copy: folder Art_Nouveau_Modern holds class Art_Nouveau."""
    (root / "Style").mkdir(parents=True)
    text = "".join(f"{i} {name}\n" for i, name in enumerate(classes))
    (root / "Style/style_class.txt").write_text(text)
    for side, count in (("train", train), ("val", val)):
        rows = []
        for label, name in enumerate(classes):
            folder = root / {"Art_Nouveau": "Art_Nouveau_Modern"}.get(name, name)
            folder.mkdir(exist_ok=True)
            for n in range(count):
                file = folder / f"artist-{n % 3}_{side}-{n}.jpg"
                file.write_bytes(painting(100 * label + n))
                rows.append(f"{folder.name}/{file.name},{label}\n")
        (root / f"Style/style_{side}.csv").write_text("".join(rows))
    return root


def opened(side="train", report=print, **fields):
    return open_paintings(DataConfig(**fields), side, report=report)


def paths(images):
    return [images.read(i) for i in range(len(images))]
