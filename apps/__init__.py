"""What is built on `core`, each in a folder of its own."""

import sys
from pathlib import Path

# `python apps/pose/train.py` puts apps/pose first on sys.path, where `import mmpose` would find
# apps/pose/mmpose in place of the library. Every script here imports from `apps` before it needs
# mmpose, so the folder goes now; processes that it spawns are given the sys.path that it has then.
_APPS = Path(__file__).resolve().parent
sys.path[:] = [entry for entry in sys.path if Path(entry).resolve().parent != _APPS]
