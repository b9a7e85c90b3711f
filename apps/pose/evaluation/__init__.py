"""What a keypoint network is worth: metrics, protocols, reports."""
