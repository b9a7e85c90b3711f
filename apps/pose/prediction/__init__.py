"""From a person's photograph or video to one with keypoints."""
