"""People of a run's validation data as inputs: their images, annotated boxes and ids."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from apps.pose.config import PoseConfig
from apps.pose.data.sets import open_sets
from apps.pose.data.source import PoseData
from apps.pose.prediction.boxes import usable
from apps.pose.prediction.pipeline import Boxes, Frame
from core.data.samples import evenly_spaced
from core.training.session import Session

Person = tuple[list[float], int, int]  # (x, y, width, height) in pixels, image id, category id


class AnnotatedBoxes:
    """A source of boxes that also gives each frame the ids of its image and of its people."""

    def __init__(self, people: dict[Path, list[Person]]):
        self.people = people

    def __call__(self, frames: list[Frame]) -> list[Boxes]:
        return [self._of(frame) for frame in frames]

    def _of(self, frame: Frame) -> Boxes:
        people = self.people[frame.path]
        # what is left out for its box has no category among those of the others
        people = [person for person in people if usable([(person[0], 1.0)], frame.image)[0]]
        frame.image_id = next((number for _, number, _ in people), None)
        frame.categories = [category for *_, category in people]
        return [(box, 1.0) for box, *_ in people]


def annotated_people(config: PoseConfig, session: Session, count: int) -> AnnotatedBoxes:
    """Images of the run's validation data, evenly over each set, with their annotated people."""
    sets, images = list(open_sets(config, session).values()), {}
    for number, data in enumerate(sets):
        share = count * (number + 1) // len(sets) - count * number // len(sets)
        images |= _annotated(data, share)
    return AnnotatedBoxes(images)


def _annotated(data: PoseData, count: int) -> dict[Path, list[Person]]:
    dataset, people = data.val(), defaultdict(list)
    for index in range(len(dataset)):  # not the json: MPII's is another
        person = dataset.people.get_data_info(index)
        left, top, right, bottom = person["bbox"][0].tolist()
        category = dataset.categories.get(person["id"], dataset.category_id)
        box = [left, top, right - left, bottom - top]
        people[Path(person["img_path"])].append((box, int(person["img_id"]), category))
    images = list(people)
    return {images[i]: people[images[i]] for i in evenly_spaced(len(images), count)}
