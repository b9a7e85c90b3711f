"""Keypoints of people, top-down: an all-MLP backbone, a SimCC or heatmap head, mmpose's data."""

# Configs of mmpose that were written for us import `apps.pose.mmpose`, as the plug-in's folder was
# once called. The name is found in here, beside which no script lies that would take it for mmpose.
__path__.append(f"{__path__[0]}/mmpose_plugin/old_name")
