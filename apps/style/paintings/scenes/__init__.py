"""What there is to paint: outlines, moods, kinds of scenes, and a scene as fields of pixels."""
