"""From a person's scan to a reconstructed one."""
