"""`apps.pose.mmpose`, and what was in it, are `apps.pose.mmpose_plugin`: the same modules."""

import sys

from apps.pose import mmpose_plugin
from apps.pose.mmpose_plugin import backbone, neck, weights

sys.modules[__name__] = mmpose_plugin
for _name, _module in {"backbone": backbone, "neck": neck, "weights": weights}.items():
    sys.modules[f"{__name__}.{_name}"] = _module  # not a second one, which would register twice
