"""For mmpose's own configs: `custom_imports = dict(imports=["apps.pose.mmpose"])`.

It registers `MixerBackbone` (any backbone of core), `MLPPoseNeck` (what MLP-Pose puts between a
backbone and a SimCCHead) and `MLPPoseHead` among mmpose's models. Where mmcv has no compiled
operators (mmcv-lite), or mmdet or xtcocotools do not import, it also makes mmpose work without them
(`apps.pose.mmpose_compat`), if it is imported before mmpose is, as custom_imports are; what is
installed and works is not replaced.
"""

if __name__ == "mmpose":  # from a script or a shell in apps/pose, which sys.path has first
    raise ImportError("this is apps.pose.mmpose, not the library mmpose: `import apps` before it")

import apps.pose.mmpose_compat  # noqa: F401 - before mmpose
from apps.pose.mmpose.backbone import MixerBackbone
from apps.pose.mmpose.neck import MLPPoseHead, MLPPoseNeck

__all__ = ["MLPPoseHead", "MLPPoseNeck", "MixerBackbone"]
