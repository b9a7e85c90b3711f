"""The embedded data of the pose app: an endless, seeded album of drawn, articulated people.

`skeleton.py` and `poses.py` say how bodies move, `figure.py`, `head.py` and `outfit.py` what they
look like, `backdrop.py` and `props.py` where they are; `scene.py` composes an image, `labels.py`
reads its COCO keypoints, `dataset.py` writes many to disk.
"""

from apps.pose.people.dataset import make_people
from apps.pose.people.scene import draw_scene
from apps.pose.people.sheet import contact_sheet

__all__ = ["contact_sheet", "draw_scene", "make_people"]
