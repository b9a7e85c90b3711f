"""Keypoint data: files, annotations, formats and codecs, and the data sets made of them."""
