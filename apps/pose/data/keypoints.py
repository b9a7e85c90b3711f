"""Which keypoints a data set has: names, skeleton, left-right pairs and OKS sigmas."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from apps.pose.data.names import is_lower_body, mirror_images, side_of
from core.config import read_yaml
from core.errors import InputError
from core.files import unreadable

_COCO_PAIRS = {  # COCO's parts that have two sides, in its order, and their OKS sigmas
    "eye": 0.025,
    "ear": 0.035,
    "shoulder": 0.079,
    "elbow": 0.072,
    "wrist": 0.062,
    "hip": 0.107,
    "knee": 0.087,
    "ankle": 0.089,
}
COCO_NAMES = ("nose", *(f"{side}_{part}" for part in _COCO_PAIRS for side in ("left", "right")))
COCO_SIGMAS = (0.026, *(sigma for sigma in _COCO_PAIRS.values() for _ in range(2)))
SIDE_COLORS = {"left": (0, 255, 0), "right": (255, 128, 0), "centre": (51, 153, 255)}  # RGB

NO_MIRROR = (
    "no keypoint has a left and a right by its name; name the pairs in data.keypoints, or say that "
    "each is its own mirror image (flip_pairs: [])"
)
_SIDE_FIELDS = ("names", "skeleton", "flip_pairs", "sigmas")


@dataclass(frozen=True)
class KeypointSet:
    """K keypoints; indices are 0-based.

    names     (K,)  as in the json's category
    skeleton  pairs of indices to join by a line
    swap      (K,)  index of the mirrored keypoint, its own where it has no partner
    sigmas    (K,)  of the object keypoint similarity, or None where nobody measured them
    upper     (K,)  whether RandomHalfBody counts it to the upper body
    mirrored  whether `swap` is known to be right; None: where any keypoint has a partner
    """

    names: tuple[str, ...]
    skeleton: tuple[tuple[int, int], ...]
    swap: tuple[int, ...]
    sigmas: tuple[float, ...] | None
    upper: tuple[bool, ...]
    mirrored: bool | None = None

    @property
    def can_mirror(self) -> bool:
        """Whether it is known what the keypoints of a mirrored picture are.

        Not where names say no side (0 to 16, as annotation tools number them) and nobody gave
        pairs: the left eye of a mirrored picture is what the other pictures call the right one.
        """
        paired = any(partner != i for i, partner in enumerate(self.swap))
        return paired if self.mirrored is None else self.mirrored

    def __len__(self) -> int:
        return len(self.names)

    @classmethod
    def of(cls, names: Sequence[str], skeleton: Sequence[tuple[int, int]] = ()) -> KeypointSet:
        """Pairs, upper body and (for COCO's 17) sigmas from the names alone."""
        return cls(
            tuple(names),
            tuple((int(a), int(b)) for a, b in skeleton),
            mirror_images(names),
            COCO_SIGMAS if tuple(names) == COCO_NAMES else None,
            tuple(not is_lower_body(name) for name in names),
        )

    @classmethod
    def read(
        cls, json_path: str | Path, side_file: str | Path = "", others: Sequence[str | Path] = ()
    ) -> KeypointSet:
        """From the category of a COCO json, with whatever the yaml side file overrides.

        The yaml may hold `names`, `skeleton` (pairs), `flip_pairs` (pairs) and `sigmas`; a pair is
        two names, or two 1-based numbers as in COCO's own skeleton. ``others`` are jsons that have
        to name the same keypoints in the same order.
        Raises InputError for a file that is missing, unreadable or contradicts itself or another.
        """
        side = read_side_file(side_file) if side_file else {}
        named = check_names(side["names"], side_file) if "names" in side else None
        theirs, skeleton = _category(json_path, named, side_file)
        names = named or theirs
        for other in others:  # names that the yaml replaces need not agree
            _same(names, _category(other, named, side_file)[0], f"{other}, unlike {json_path},")
        pairs = [] if "skeleton" in side else _pairs(skeleton, names, f"{json_path}: skeleton")
        return cls.of(names, pairs).changed_by(side, side_file)

    def check_same(self, names: Sequence[str], source: str | Path) -> None:
        """InputError unless these are the names of the keypoints, in the same order."""
        _same(self.names, names, str(source))

    def changed_by(self, side: dict, source: str | Path) -> KeypointSet:
        """With the skeleton, flip_pairs and sigmas of `read_side_file`'s fields, if there."""
        changes: dict[str, Any] = {}
        if "skeleton" in side:
            pairs = _pairs(side["skeleton"], self.names, f"{source}: skeleton")
            changes["skeleton"] = tuple(pairs)
        if "flip_pairs" in side:
            changes["swap"] = _swap_from_pairs(side["flip_pairs"], self.names, source)
            changes["mirrored"] = True  # without pairs: each is its own mirror image
        if "sigmas" in side:
            changes["sigmas"] = _sigmas(side["sigmas"], self.names, source)
        return replace(self, **changes)

    def side(self, index: int) -> str:
        """'left', 'right' or 'centre', by the name; an unnamed pair's first keypoint is left."""
        if self.swap[index] == index:
            return "centre"
        return side_of(self.names[index]) or ("left" if index < self.swap[index] else "right")

    def metainfo(self) -> dict:
        """What mmpose's data sets and visualizer take (mmpose.datasets.datasets.utils)."""
        colors = [SIDE_COLORS[self.side(i)] for i in range(len(self))]
        centre = SIDE_COLORS["centre"]
        return {
            "dataset_name": "keypoints",
            "keypoint_info": {
                i: {
                    "name": name,
                    "id": i,
                    "color": list(colors[i]),
                    "type": "upper" if self.upper[i] else "lower",
                    "swap": "" if self.swap[i] == i else self.names[self.swap[i]],
                }
                for i, name in enumerate(self.names)
            },
            "skeleton_info": {
                i: {
                    "link": (self.names[a], self.names[b]),
                    "id": i,
                    "color": list(_link_color(colors[a], colors[b], centre)),
                }
                for i, (a, b) in enumerate(self.skeleton)
            },
            "joint_weights": [1.0] * len(self),
            # mmpose wants numbers; without sigmas the app computes no OKS, so these are never read.
            "sigmas": list(self.sigmas or [0.05] * len(self)),
        }


def read_json(path: str | Path) -> Any:
    """The content of a json file; InputError where there is none."""
    try:
        with open(path, "rb") as file:
            return json.load(file)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}: check the path") from None
    except (ValueError, RecursionError) as error:  # not json, not text, or lists without end
        raise InputError(f"{path} is not a json file ({unreadable(path, str(error))})") from None


def _category(
    path: str | Path, named: Sequence[str] | None, side_file: str | Path
) -> tuple[tuple[str, ...], Any]:
    """Names and skeleton of a json's people. Several categories must have the same keypoints.

    ``named``: names that a yaml puts in the place of the json's, which are then only counted.
    """
    content = read_json(path)
    categories = content.get("categories") if isinstance(content, dict) else None
    categories = categories if isinstance(categories, list) else []
    categories = [c for c in categories if isinstance(c, dict)]
    with_names = [c for c in categories if c.get("keypoints")]
    if named and categories and not with_names:
        return tuple(named), []  # the people's own numbers are counted where they are read
    categories = with_names
    if not categories:
        raise InputError(
            f"{path}: no category with `keypoints`: give a COCO keypoint json "
            "(person_keypoints_*.json, not instances_*.json)"
        )
    if named:
        for category in categories:
            _check_count(category["keypoints"], named, path, side_file)
        names = tuple(named)
    else:
        names = check_names(categories[0]["keypoints"], path)
        for category in categories[1:]:
            where = f"{path}: category {category.get('name', '')!r}"
            _same(names, check_names(category["keypoints"], path), where)
    return names, categories[0].get("skeleton") or []


def _check_count(values: Any, named: Sequence[str], path: str | Path, side_file) -> None:
    count = len(values) if isinstance(values, list) else 0
    if count != len(named):
        raise InputError(
            f"{side_file}: {len(named)} names, but the people of {path} have {count} keypoints: "
            "name each of them"
        )


def check_names(values: Any, source: str | Path) -> tuple[str, ...]:
    """The values as names of keypoints; InputError where they are no words, or two are equal."""
    words = isinstance(values, list) and [isinstance(v, str) and bool(v.strip()) for v in values]
    if not words or not all(words):
        raise InputError(f"{source}: the keypoints' names must be a list of words, got {values!r}")
    if twice := sorted({v for v in values if values.count(v) > 1}):
        raise InputError(f"{source}: two keypoints share a name: {', '.join(twice)}")
    return tuple(values)


def _same(names: Sequence[str], others: Sequence[str], where: str) -> None:
    if len(names) != len(others):
        raise InputError(f"{where} has {len(others)} keypoints, not {len(names)}: {tuple(names)}")
    for number, (name, other) in enumerate(zip(names, others, strict=True), start=1):
        if name != other:
            raise InputError(
                f"{where} has {other!r} as keypoint {number}, not {name!r}: name and order the "
                "keypoints of all jsons of a run alike"
            )


def read_side_file(path: str | Path) -> dict:
    """The fields of a yaml as `KeypointSet.read` takes it, each a list; InputError else."""
    side = read_yaml(path, "check data.keypoints")
    if not isinstance(side, dict) or set(side) - set(_SIDE_FIELDS):
        raise InputError(f"{path}: only the fields {', '.join(_SIDE_FIELDS)} are known")
    for name, value in side.items():
        if not isinstance(value, list):
            raise InputError(f"{path}: `{name}` must be a list")
    return side


def _index(key: Any, names: tuple[str, ...], where: str) -> int:
    if key in names:
        return names.index(key)
    if isinstance(key, int) and 1 <= key <= len(names):
        return key - 1
    raise InputError(f"{where} has {key!r}: use a name, or a number of 1 to {len(names)}: {names}")


def _pairs(pairs: Any, names: tuple[str, ...], where: str) -> list[tuple[int, int]]:
    if not isinstance(pairs, list):
        raise InputError(f"{where} must be a list of pairs, got {pairs!r}")
    indices = []
    for pair in pairs:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise InputError(f"{where} has {pair!r}, which is no pair of keypoints")
        a, b = _index(pair[0], names, where), _index(pair[1], names, where)
        if a == b:
            raise InputError(f"{where} has {names[a]!r} with itself: a pair is of two keypoints")
        indices.append((a, b))
    return indices


def _swap_from_pairs(pairs: list, names: tuple[str, ...], source: str | Path) -> tuple[int, ...]:
    swap, by_name = list(range(len(names))), mirror_images(names)
    for a, b in _pairs(pairs, names, f"{source}: flip_pairs"):
        for x in (a, b):
            if swap[x] != x:
                raise InputError(
                    f"{source}: flip_pairs names {names[x]!r} twice: it has one mirror image"
                )
        swap[a], swap[b] = b, a
    for x, partner in enumerate(by_name):
        if pairs and swap[x] != partner != x:
            given = f"pairs it with {names[swap[x]]!r}" if swap[x] != x else "leaves it out"
            raise InputError(
                f"{source}: {names[x]!r} mirrors {names[partner]!r} by its name, but flip_pairs "
                f"{given}: correct the pair, or rename the keypoints"
            )
    return tuple(swap)


def _sigmas(values: list, names: tuple[str, ...], source: str | Path) -> tuple[float, ...]:
    if len(values) != len(names):
        raise InputError(
            f"{source}: {len(values)} sigmas for {len(names)} keypoints: give one for each"
        )
    for name, value in zip(names, values, strict=True):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
            raise InputError(f"{source}: sigmas must be numbers above 0, {name!r} has {value!r}")
        if not value <= 1:  # pixels; with them everything would be right
            raise InputError(
                f"{source}: sigmas are fractions of a person's size (COCO's are 0.025 to 0.107), "
                f"{name!r} has {value!r}: divide pixels by the square root of the area"
            )
    return tuple(float(v) for v in values)


def _link_color(a: tuple, b: tuple, centre: tuple) -> tuple:
    """The side of a limb: of its ends, or centre where they differ and neither is centre."""
    if a == b:
        return a
    return b if a == centre else a if b == centre else centre
