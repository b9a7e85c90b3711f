"""One image: a place, one to three people from far to near, sometimes something before them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from apps.pose.people.backdrop import paint_backdrop
from apps.pose.people.canvas import Canvas, darker
from apps.pose.people.figure import Figure
from apps.pose.people.head import Head
from apps.pose.people.labels import annotate
from apps.pose.people.outfit import sample_outfit
from apps.pose.people.poses import sample_pose, sample_yaw
from apps.pose.people.props import paint_occluder
from apps.pose.people.shapes import paint
from apps.pose.people.skeleton import Body, Build, View, turn

SPLITS = ("train", "val")
SIZES = ((320, 240), (240, 320), (288, 288))  # width, height
ADULT = 1.72  # metres: the height that a place in the image is chosen for
MIN_AREA = 80  # pixels: of whom less is seen, an annotator would not label

Rng = np.random.Generator


@dataclass(frozen=True)
class Spot:
    """Where someone stands, pixels."""

    x: float
    feet: float
    tall: float  # an adult's height here


@dataclass
class Scene:
    """A painted scene. Person p of `figures` owns the pixels that `shapes.owner` says."""

    canvas: Canvas
    figures: list[Figure]

    def annotations(self) -> list[dict]:
        """One COCO annotation, without ids, for each person of whom enough is seen."""
        labels = [
            annotate(figure, person, self.canvas.owners)
            for person, figure in enumerate(self.figures)
        ]
        return [label for label in labels if label["area"] >= MIN_AREA and label["num_keypoints"]]


def draw_scene(seed: int, split: str, index: int) -> tuple[np.ndarray, list[dict]]:
    """Image (H, W, 3) uint8 RGB and its COCO annotations, without `id` and `image_id`.

    A pure function of its arguments: `train` and `val` never share a scene.
    """
    rng = np.random.default_rng([seed, SPLITS.index(split), index])
    scene = paint_scene(rng)
    return _finish(scene.canvas.image(), rng), scene.annotations()


def paint_scene(rng: Rng) -> Scene:
    """Draw a backdrop, people and things, with the labels of the people."""
    canvas = Canvas(*SIZES[rng.choice(3, p=(0.58, 0.3, 0.12))])
    horizon = paint_backdrop(canvas, rng)
    light = np.array([rng.choice((-1, 1)) * rng.uniform(0.4, 0.8), -0.8])
    spots = sample_spots(rng, canvas.width, canvas.height, horizon)
    figures = [_figure(rng, spot, light) for spot in spots]
    for person, (figure, spot) in enumerate(zip(figures, spots, strict=True)):
        _shadow(canvas, figure, spot)
        paint_figure(canvas, person, figure)
    if rng.random() < 0.38:
        _hide(canvas, rng, spots[rng.integers(len(spots))])
    return Scene(canvas, figures)


def paint_figure(canvas: Canvas, person: int, figure: Figure) -> None:
    """Paint one person, whose pixels are noted as theirs."""
    paint(canvas, person, figure.parts() + Head(figure).parts(), figure.view, figure.light)


def sample_spots(rng: Rng, width: int, height: int, horizon: float) -> list[Spot]:
    """Places for one to three people, far to near."""
    count = rng.choice(3, p=(0.52, 0.34, 0.14)) + 1
    spots: list[Spot] = []
    for _ in range(count):
        tall = height * rng.uniform(0.3 if count > 1 else 0.4, 0.9 if count == 1 else 0.8)
        feet = horizon + (0.97 * height - horizon) * np.clip((tall / height - 0.15) / 0.6, 0.1, 1)
        feet = max(feet + rng.normal(0, 0.02) * height, 1.06 * tall)
        if rng.random() < 0.13:  # a close-up, cut off by the frame
            tall = height * rng.uniform(1.0, 1.7)
            feet = tall + height * rng.uniform(0.06, 0.2)
        spots.append(Spot(_free_place(rng, width, tall, spots), float(feet), float(tall)))
    return sorted(spots, key=lambda spot: spot.feet)


def _free_place(rng: Rng, width: int, tall: float, others: list[Spot]) -> float:
    """A column at a distance from the others: mostly side by side, sometimes overlapping."""
    margin = -0.02 if rng.random() < 0.08 else min(0.16 * tall / width, 0.4)
    columns = width * rng.uniform(margin, 1 - margin, 12)
    wanted = rng.choice((0.42, 0.2), p=(0.75, 0.25))
    gaps = [min((abs(x - o.x) / max(tall, o.tall) for o in others), default=9) for x in columns]
    free = [x for x, gap in zip(columns, gaps, strict=True) if gap > wanted]
    return float(free[0] if free else columns[int(np.argmax(gaps))])


def _figure(rng: Rng, spot: Spot, light: np.ndarray) -> Figure:
    body = Body(Build.sample(rng), sample_pose(rng))
    yaw, tilt, sway = sample_yaw(rng), rng.uniform(0, 12), rng.normal(0, 2.5)
    return stand_at(
        body,
        spot,
        turn(0, tilt) @ turn(2, sway) @ turn(1, yaw),
        light,
        sample_outfit(rng),
        distance=rng.uniform(5, 10),
    )


def stand_at(body, spot, rotation, light, outfit, distance: float = 8.0) -> Figure:
    """A figure whose lowest foot touches the ground of its spot, or hovers in a jump."""
    scale = spot.tall / ADULT
    view = View(rotation, scale, distance, np.zeros(2))
    soles = [
        body.joints[f"{side}_{part}"] for side in ("left", "right") for part in ("heel", "toe")
    ]
    circles = view.circles(np.array(soles), 0.02 * body.build.height)
    low = float((circles[:, 1] + circles[:, 2]).max())
    view.origin = np.array([spot.x, spot.feet - low - body.pose.lift * scale])
    return Figure(body, view, outfit, light)


def _shadow(canvas: Canvas, figure: Figure, spot: Spot) -> None:
    feet = [figure.body.joints[f"{side}_ankle"] for side in ("left", "right")]
    xs = figure.view.circles(np.array(feet), 0.0)[:, 0]
    half, middle = np.ptp(xs) / 2 + 0.085 * spot.tall, float(xs.mean())
    row = int(np.clip(2 * spot.feet, 0, len(canvas.colours) - 1))
    column = int(np.clip(2 * middle, 0, canvas.colours.shape[1] - 1))
    ground = canvas.colours[row, column].tolist()
    canvas.oval(middle, spot.feet - 1, half, 0.025 * spot.tall, darker(ground, 0.22))


def _hide(canvas: Canvas, rng: Rng, spot: Spot) -> None:
    x = spot.x + rng.choice((-1, 1)) * rng.uniform(0.02, 0.22) * spot.tall
    feet = min(spot.feet + rng.uniform(0.01, 0.05) * spot.tall, canvas.height + 0.05 * spot.tall)
    paint_occluder(canvas, rng, x, feet, rng.uniform(0.16, 0.36) * spot.tall)


def _finish(image: np.ndarray, rng: Rng) -> np.ndarray:
    """The light of the day and the grain of the film."""
    gains = rng.uniform(0.92, 1.1) * rng.uniform(0.97, 1.03, 3)
    image = cv2.multiply(image, (*gains, 1.0))
    grain = rng.integers(0, 8, image.shape[:2], dtype=np.uint8)
    return cv2.subtract(image, cv2.merge([grain] * 3))
