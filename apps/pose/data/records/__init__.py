"""The records of a COCO keypoint json: checked, mended, in their units."""
