"""Keypoints of several data sets as those of one network: joined by their names.

K keypoints of the network, J of a data set's json, S that both have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from apps.pose.data.keypoints import KeypointSet, check_names, read_side_file
from apps.pose.data.names import SIGMAS, shared_name
from core.errors import InputError


@dataclass(frozen=True)
class Shared:
    """The S keypoints that a json and a network both have, in the json's order.

    columns (S,) of them among the J of the json, places (S,) among the K of the network.
    """

    json: KeypointSet
    network: KeypointSet
    columns: tuple[int, ...]
    places: tuple[int, ...]

    @classmethod
    def all(cls, keypoints: KeypointSet) -> Shared:
        """Of a json and a network with the same keypoints."""
        return cls(keypoints, keypoints, *2 * (tuple(range(len(keypoints))),))

    @classmethod
    def between(cls, json: KeypointSet, network: KeypointSet, source: str) -> Shared:
        """By name (`shared_name`). Raises InputError, which names ``source``, for none in common,
        and where another pair mirrors each other in the json than in the network."""
        index = _by_name(network, "the network")
        pairs = [(c, index[name]) for name, c in _by_name(json, source).items() if name in index]
        if not pairs:
            raise InputError(
                f"{source}: none of its keypoints ({', '.join(json.names)}) is one of the "
                f"network's ({', '.join(network.names)}): name those alike that are the same"
            )
        shared = cls(json, network, *(tuple(numbers) for numbers in zip(*pairs, strict=True)))
        shared._check_mirrored(source)
        return shared

    def _check_mirrored(self, source: str) -> None:
        place_of = dict(zip(self.columns, self.places, strict=True))
        for column, place in place_of.items():
            theirs = place_of.get(self.json.swap[column], place)
            ours = self.network.swap[place]
            if theirs != ours and (theirs != place or ours in self.places):
                name, one, other = (self.network.names[i] for i in (place, theirs, ours))
                raise InputError(
                    f"{source}: {name!r} mirrors {one!r}, in the network {other!r}: pair them "
                    "alike in all sets (flip_pairs)"
                )

    @cached_property
    def keypoints(self) -> KeypointSet:
        """The S as a set of their own, with what the json says of them."""
        return subset(self.json, self.columns)

    @property
    def complete(self) -> bool:
        """Whether the network has all keypoints of the json."""
        return len(self.columns) == len(self.json)

    def spread(self, values: np.ndarray) -> np.ndarray:
        """(J, ...) of a json's person -> (K, ...) of the network, 0 for what the json lacks."""
        spread = np.zeros((len(self.network), *values.shape[1:]), values.dtype)
        spread[list(self.places)] = values[list(self.columns)]
        return spread

    def select(self, content: dict) -> dict:
        """The content of a COCO json, of each person the S keypoints in place of the J."""
        if self.complete:
            return content
        people = [self._selected(annotation) for annotation in content["annotations"]]
        return {**content, "annotations": people}

    def _selected(self, annotation: dict) -> dict:
        if not annotation.get("keypoints"):
            return annotation
        triples = np.reshape(annotation["keypoints"], (-1, 3))[list(self.columns)]
        points = triples.astype(float).ravel().tolist()
        return {**annotation, "keypoints": points, "num_keypoints": int((triples[:, 2] > 0).sum())}


def subset(keypoints: KeypointSet, order: Sequence[int]) -> KeypointSet:
    """The keypoints with these indices, in this order; pairs and bones of others are left out."""
    number = {old: new for new, old in enumerate(order)}
    bones = [bone for bone in keypoints.skeleton if number.keys() >= set(bone)]
    # one whose partner is not among them has no place in a mirrored picture
    mirrored = keypoints.can_mirror and all(keypoints.swap[i] in number for i in order)
    chosen = KeypointSet(
        tuple(keypoints.names[i] for i in order),
        tuple((number[a], number[b]) for a, b in bones),
        tuple(number.get(keypoints.swap[i], number[i]) for i in order),
        keypoints.sigmas and tuple(keypoints.sigmas[i] for i in order),
        tuple(keypoints.upper[i] for i in order),
    )
    return chosen if chosen.can_mirror == mirrored else replace(chosen, mirrored=mirrored)


def join(sets: Mapping[str, KeypointSet]) -> KeypointSet:
    """The keypoints of all data sets: the first set's in its order, then what each other adds.

    ``sets`` by name. Spelling and half of the body are those of the first set that has the
    keypoint; there are sigmas only where each has one in some set, or in SIGMAS. Bones and
    pairs are those of all.
    """
    index: dict[str, int] = {}
    found: list[tuple[str, bool]] = []
    swap: dict[int, int] = {}
    bones: dict[frozenset, tuple[int, int]] = {}
    for source, keypoints in sets.items():
        for name, i in _by_name(keypoints, source).items():
            if index.setdefault(name, len(found)) == len(found):
                found.append((keypoints.names[i], keypoints.upper[i]))
        own = [index[shared_name(name)] for name in keypoints.names]
        for i, partner in enumerate(keypoints.swap):
            if partner != i:
                swap.setdefault(own[i], own[partner])  # contradictions: `Shared.between`
        for a, b in keypoints.skeleton:
            bones.setdefault(frozenset((own[a], own[b])), (own[a], own[b]))
    names, upper = zip(*found, strict=True)
    swaps = tuple(swap.get(i, i) for i in range(len(names)))
    # without any pair: whether a set says that each is its own mirror image
    mirrored = None if swap else any(k.can_mirror for k in sets.values()) or None
    return KeypointSet(names, tuple(bones.values()), swaps, _sigmas(sets, names), upper, mirrored)


def _sigmas(sets: Mapping[str, KeypointSet], names: Sequence[str]) -> tuple[float, ...] | None:
    """Of each keypoint that of the first set that has one, else that of SIGMAS; None where a
    keypoint has none. They are for duplicates and tracking; a set is measured by its own."""
    known: dict[str, float] = {}
    for keypoints in (one for one in sets.values() if one.sigmas):
        for name, sigma in zip(keypoints.names, keypoints.sigmas, strict=True):
            known.setdefault(shared_name(name), sigma)
    known = {**SIGMAS, **known}
    sigmas = [known.get(shared_name(name)) for name in names]
    return None if None in sigmas else tuple(sigmas)


def choose(sets: Mapping[str, KeypointSet], wanted: str) -> KeypointSet:
    """The network's keypoints: those of `join`, or those of them that ``wanted`` lists.

    ``wanted`` is `DataConfig.keypoints`: names with commas between, or a yaml as
    `KeypointSet.read` takes it. Raises InputError for a name that no set has.
    """
    every = join(sets)
    if not wanted:
        return every
    is_file = wanted.lower().endswith((".yaml", ".yml"))
    side = read_side_file(wanted) if is_file else {"names": [n.strip() for n in wanted.split(",")]}
    names = check_names(
        side.get("names", list(every.names)), wanted if is_file else "data.keypoints"
    )
    index = _by_name(every, "data.sets")
    for name in names:
        if shared_name(name) not in index:
            raise InputError(
                f"data.keypoints: none of {', '.join(sets)} has {name!r}: choose among "
                f"{', '.join(every.names)}"
            )
    chosen = subset(every, [index[shared_name(name)] for name in names])
    # all keypoints together may lack a sigma that none of these lacks
    chosen = replace(chosen, names=names, sigmas=_sigmas(sets, names))
    return chosen.changed_by(side, wanted)


def _by_name(keypoints: KeypointSet, source: str) -> dict[str, int]:
    """Index of each keypoint by the name under which sets are joined; InputError for one twice."""
    index: dict[str, int] = {}
    for i, name in enumerate(keypoints.names):
        if (first := index.setdefault(shared_name(name), i)) != i:
            raise InputError(
                f"{source}: {keypoints.names[first]!r} and {name!r} are the same keypoint for "
                "another set: rename one of them"
            )
    return index
