"""A page in the browser over all crafts: `python -m page`. It imports core and every app."""
