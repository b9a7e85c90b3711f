"""Who may import whom; and names in apps/ that would shadow a library.

A script's own folder is first on sys.path until the script imports `apps` (apps/__init__.py; for
what comes after see tests/test_entry_points.py). What is imported earlier has no namesake there.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted([*ROOT.glob("core/**/*.py"), *ROOT.glob("apps/**/*.py")])
SHADOWS = {"datasets", "evaluate", "accelerate", "timm", "torch", "tokenize"}
SHADOWS |= {"inspect", "types", "logging"}  # the standard library's


def imports(path):
    """Absolute names of the modules that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import fails where the file is a script"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def forbidden(path):
    """Prefixes that this file must not import."""
    package = path.relative_to(ROOT).parts
    if package[0] == "core":
        inner = package[1] in ("models", "data")
        return ["apps.", *(["core.training.", "core.evaluation."] if inner else [])]
    others = [app.name for app in (ROOT / "apps").iterdir() if app.is_dir()]
    return [f"apps.{name}." for name in others if name != package[1] and name != "__pycache__"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path):
    wrong = [n for n in imports(path) for prefix in forbidden(path) if f"{n}.".startswith(prefix)]
    assert not wrong


def test_the_rule_would_notice():
    assert "apps." in forbidden(ROOT / "core/models/networks/mixer.py")
    assert "core.training." in forbidden(ROOT / "core/data/loading.py")


def test_mmpose_is_imported_where_it_has_been_mended():
    """By the plug-in; all other files take it from mmpose_compat, which mends it first."""
    those = {path for path in FILES for n in imports(path) if f"{n}.".startswith("mmpose.")}
    own = ROOT / "apps/pose"
    allowed = own / "mmpose_plugin"
    assert those
    assert all(p == own / "data/mmpose_compat.py" or p.is_relative_to(allowed) for p in those)


def test_no_name_shadows_a_library():
    assert not [path for path in ROOT.glob("apps/*/*") if path.stem in SHADOWS]
