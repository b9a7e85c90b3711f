"""Pictures for people: figures of numbers, sheets of images, and text that fits."""
