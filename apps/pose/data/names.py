"""What the names of keypoints say: which side, which mirror image, which part of the body."""

from __future__ import annotations

import re
from collections.abc import Sequence

_LOWER_BODY = re.compile(r"hip|pelvis|thigh|leg|knee|shin|ankle|heel|foot|feet|toe|hind", re.I)
_MIRRORED = {"left": "right", "right": "left", "l": "r", "r": "l"}
SYNONYMS = {  # what data sets call differently and label alike -> the name to join them by
    "top_head": "head_top",  # CrowdPose | LSP, MPII, AI Challenger
    "top_of_head": "head_top",
    "headtop": "head_top",
}
SIGMAS = {  # of keypoints that COCO lacks and no set of ours measured: CrowdPose's evaluation code
    "neck": 0.079,
    "head_top": 0.079,
}
_SIDE_WORDS = (  # left_eye, eye_left, "Left Eye", lefteye | L_eye, eye.l | LEye
    re.compile(r"left|right", re.I),
    re.compile(r"(?<![a-z])[lr](?![a-z])", re.I),
    re.compile(r"^[lrLR](?=[A-Z])"),
)


def side_of(name: str) -> str:
    """'left' or 'right', or '' where the name says neither."""
    word = _side_word(name)
    if not word:
        return ""
    return "left" if word[0][0].lower() == "l" else "right"


def body_part(name: str) -> str:
    """The name in COCO's spelling: left_hip for Left-Hip, "left hip", leftHip, hip_left and L_hip.

    Without it, data sets that differ in nothing but hyphens would have different metrics.
    """
    word = _side_word(name)
    rest = name[: word.start()] + " " + name[word.end() :] if word else name
    words = [part.lower() for part in re.split(r"[^A-Za-z0-9]+", rest) if part]
    return "_".join([side_of(name), *words] if word else words)


def shared_name(name: str) -> str:
    """The name by which keypoints of several data sets are the same: `body_part`, or its synonym.

    Neither MPII's upper_neck nor its thorax is taken for the neck of LSP and others.
    """
    part = body_part(name) if name.isascii() else name.lower()
    return SYNONYMS.get(part, part)


def is_lower_body(name: str) -> bool:
    """Whether it is of the hips or below, for RandomHalfBody."""
    return bool(_LOWER_BODY.search(name))


def mirror_images(names: Sequence[str]) -> tuple[int, ...]:
    """(K,) index of the keypoint whose name is the same with the other side, its own without."""
    index = {name.lower(): i for i, name in enumerate(names)}
    swap = list(range(len(names)))
    for i, name in enumerate(names):
        for pattern in _SIDE_WORDS:
            mirrored = pattern.sub(lambda word: _MIRRORED[word[0].lower()], name).lower()
            if mirrored in index and index[mirrored] != i:
                swap[i] = index[mirrored]
                break
    return tuple(swap)


def _side_word(name: str) -> re.Match | None:
    return next((word for pattern in _SIDE_WORDS if (word := pattern.search(name))), None)
