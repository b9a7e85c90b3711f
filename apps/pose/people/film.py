"""A film of drawn people who walk, run and wave before a backdrop; seeded, with its labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from apps.pose.people.backdrop import paint_backdrop
from apps.pose.people.canvas import Canvas
from apps.pose.people.labels import annotate
from apps.pose.people.outfit import Outfit, sample_outfit
from apps.pose.people.poses import sample_pose
from apps.pose.people.scene import MIN_AREA, Rng, Spot, paint_figure, stand_at
from apps.pose.people.skeleton import Body, Build, Pose, turn

POSE_SECONDS = 0.8  # from one pose to the next


@dataclass(frozen=True)
class Actor:
    """Someone who crosses the picture again and again, from pose to pose."""

    build: Build
    outfit: Outfit
    poses: list[Pose]
    spot: Spot  # at the beginning
    speed: float  # pixels per second to the right, or to the left

    def crossing(self, seconds: float, width: int) -> tuple[int, float]:
        """Which time this person crosses the picture, 0 at the beginning, and the x of the feet."""
        margin = 0.25 * self.spot.tall
        way = self.spot.x + self.speed * seconds + margin
        number, place = divmod(way, width + 2 * margin)
        return int(number), float(place - margin)

    def figure(self, seconds: float, width: int, light: np.ndarray):
        """How this person stands at a time. ``width`` of the picture, pixels."""
        _, x = self.crossing(seconds, width)
        spot = replace(self.spot, x=x)
        yaw = 40 * np.sign(self.speed) + 20 * np.sin(1.3 * seconds)
        body = Body(self.build, between(self.poses, seconds / POSE_SECONDS))
        return stand_at(body, spot, turn(0, 6) @ turn(1, yaw), light, self.outfit)


def between(poses: list[Pose], time: float) -> Pose:
    """The pose at a time: pose i at i, around in a circle, and smoothly from one to the next."""
    first, share = int(time), time % 1
    a, b = poses[first % len(poses)], poses[(first + 1) % len(poses)]
    share = share * share * (3 - 2 * share)
    names = ("arms", "legs", "spine", "head", "lift")
    return replace(a, **{n: getattr(a, n) * (1 - share) + getattr(b, n) * share for n in names})


def _actor(rng: Rng, width: int, height: int, horizon: float) -> Actor:
    poses = [pose for pose in (sample_pose(rng) for _ in range(24)) if not pose.seated][:8]
    tall = height * rng.uniform(0.35, 0.75)
    feet = horizon + (0.96 * height - horizon) * np.clip((tall / height - 0.15) / 0.6, 0.1, 1)
    spot = Spot(float(rng.uniform(0, width)), float(max(feet, 1.06 * tall)), float(tall))
    speed = rng.choice((-1, 1)) * rng.uniform(0.15, 0.4) * tall
    return Actor(Build.sample(rng), sample_outfit(rng), poses, spot, float(speed))


def draw_film(
    seed: int, frames: int, width: int = 1280, height: int = 720, fps: float = 25.0, people: int = 3
) -> Iterator[tuple[np.ndarray, list[dict]]]:
    """Each frame's image (H, W, 3) uint8 RGB and its COCO annotations, without ids.

    `track_id` is that of a person from entering the picture to leaving it. A pure function of its
    arguments.
    """
    rng = np.random.default_rng(seed)
    canvas = Canvas(width, height)
    horizon = paint_backdrop(canvas, rng)
    light = np.array([rng.choice((-1, 1)) * 0.6, -0.8])
    actors = [_actor(rng, width, height, horizon) for _ in range(people)]
    actors.sort(key=lambda actor: actor.spot.feet)
    backdrop = canvas.colours.copy()
    for number in range(frames):
        canvas.colours[:], canvas.owners[:] = backdrop, 0
        figures = [actor.figure(number / fps, width, light) for actor in actors]
        crossings = [actor.crossing(number / fps, width)[0] for actor in actors]
        for person, figure in enumerate(figures):
            paint_figure(canvas, person, figure)
        labels = [
            {**annotate(figure, i, canvas.owners), "track_id": i + people * crossing}
            for i, (figure, crossing) in enumerate(zip(figures, crossings, strict=True))
        ]
        yield canvas.image(), [a for a in labels if a["area"] >= MIN_AREA and a["num_keypoints"]]
