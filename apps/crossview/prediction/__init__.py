"""From a person's images and maps to pictures of the other view."""
