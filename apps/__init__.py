"""What is built on `core`, each in a folder of its own."""
