"""Images held in the device's memory, and augmented there a batch at a time.

For small images decoding and augmenting one after another takes longer than training on them: a
core prepares about 1,800 a second, a GPU trains on more than ten times as many. Here all images
are decoded once, and a batch is augmented by a few operations on tensors.
"""
