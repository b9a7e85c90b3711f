"""What a recogniser is worth: metrics and pictures."""
