"""People a second of apps/pose/predict.py, the whole command, beside a plain loop's.

Images and a video are drawn, with their people's own boxes; the network is that of `demo_scratch`,
after one step of training. Both commands start, read, predict, draw and write.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from apps.pose.people import make_people
from benchmarks.pose_video import make_video
from benchmarks.rows.pairs import Row, Settings, faster, process, processes_in_turn, run

ONE_STEP = ("--run.steps", 1, "--embedded.train", 32, "--embedded.val", 4, "--data.workers", 0)


def rows(settings: Settings) -> Iterator[Row]:
    """Images, then a video."""
    images, number = (2, 5) if settings.smallest else (300, 750)
    with tempfile.TemporaryDirectory() as name:
        folder, preset = Path(name), "debug" if settings.smallest else "demo_scratch"
        words = ("apps/pose/train.py", preset, *ONE_STEP, "--run.folder", folder / "run")
        run(words)
        for what, people, boxes, inputs in (
            ("images", *drawn_images(folder, images)),
            ("video", *drawn_video(folder, number)),
        ):
            yield beside_the_loop(settings, folder, what, people, boxes, inputs)


def beside_the_loop(
    settings: Settings, folder: Path, what: str, people: int, boxes: Path, inputs: list[Path]
) -> Row:
    """The row of one kind of inputs."""
    trained, out = folder / "run", folder / "out"
    command = ["apps/pose/predict.py", trained, *inputs, "--boxes", boxes, "--output", out]
    loop = ["-m", "benchmarks.rows.plain_pose", trained, boxes, folder / "plain", *inputs]
    works = [process("predict.py", command, people), process("plain loop", loop, people)]
    processes_in_turn(settings, works)
    return faster(Row(f"pose, predict.py on {what}", "a plain loop", 2.0), *works, "people/s")


def drawn_images(folder: Path, count: int) -> tuple[int, Path, list[Path]]:
    """(people, their boxes, the images)."""
    root = make_people(folder / "people", count, 1, seed=0)
    content = json.loads((root / "annotations/train.json").read_text())
    names = {image["id"]: image["file_name"] for image in content["images"]}
    records = [
        {"file_name": names[person["image_id"]], "bbox": person["bbox"]}
        for person in content["annotations"]
    ]
    (boxes := folder / "images.json").write_text(json.dumps(records))
    inputs = [root / "images/train" / name for name in names.values()]
    return len(records), boxes, inputs


def drawn_video(folder: Path, frames: int) -> tuple[int, Path, list[Path]]:
    """The same of a video of three people."""
    video = make_video(folder / "walk.mp4", frames, 3, 1)
    boxes = video.with_suffix(".json")
    return len(json.loads(boxes.read_text())), boxes, [video]
