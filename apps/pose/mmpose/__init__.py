"""For mmpose's own configs: `custom_imports = dict(imports=["apps.pose.mmpose"])`.

It registers `MixerBackbone` (any backbone of core) and `MLPPoseNeck` (MLP-Pose between backbone and
SimCCHead) among mmpose's models. Where mmcv has no compiled operators (mmcv-lite), or mmdet or
xtcocotools do not import, it also makes mmpose work without them (`apps.pose.mmpose_compat`), if it
is imported before mmpose, as custom_imports are; what is installed and works is not replaced.
"""

import apps.pose.mmpose_compat  # noqa: F401 - before mmpose
from apps.pose.mmpose.backbone import MixerBackbone

__all__ = ["MixerBackbone"]
