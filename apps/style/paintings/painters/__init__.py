"""How it is painted: a function for each style, from a scene and a hand to a canvas."""
