"""What a made image is worth: metrics, baselines, pictures."""
