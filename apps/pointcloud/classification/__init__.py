"""What a cloud is of: one class for each cloud, with the operators of reconstruction."""
