"""Benchmarks keep up with the packages: what each imports at its top is there."""

import ast
import importlib
from pathlib import Path

import pytest

FILES = sorted(Path(__file__).parent.parent.glob("benchmarks/**/*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_a_benchmark_imports_is_there(path):
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] in ("core", "apps"):
            module = importlib.import_module(node.module)
            for name in (alias.name for alias in node.names):
                assert hasattr(module, name) or importlib.import_module(f"{node.module}.{name}")
