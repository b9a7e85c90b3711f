"""For mmpose's own configs: `custom_imports = dict(imports=["apps.pose.mmpose_plugin"])`.

It registers `MixerBackbone` (any backbone of core), `MLPPoseNeck` (what MLP-Pose puts between a
backbone and a SimCCHead) and `MLPPoseHead` among mmpose's models. Where mmcv has no compiled
operators (mmcv-lite), or mmdet or xtcocotools do not import, it also makes mmpose work without them
(`apps.pose.data.mmpose_compat`), if it is imported before mmpose is, as custom_imports are; what is
installed and works is not replaced.
"""

import apps.pose.data.mmpose_compat  # noqa: F401 - before mmpose
from apps.pose.mmpose_plugin.backbone import MixerBackbone
from apps.pose.mmpose_plugin.neck import MLPPoseHead, MLPPoseNeck

__all__ = ["MLPPoseHead", "MLPPoseNeck", "MixerBackbone"]
