"""Who may import whom: one way only, late imports included; and names that shadow a library.

A script's own folder is first on sys.path until the script imports `apps` (apps/__init__.py; for
what comes after see tests/test_entry_points.py). What is imported earlier has no namesake there.
"""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(path for room in ("core", "apps", "page") for path in ROOT.glob(f"{room}/**/*.py"))
SHADOWS = {"datasets", "evaluate", "accelerate", "timm", "torch", "tokenize"}
SHADOWS |= {"inspect", "types", "logging"}  # the standard library's

# The rooms of core, from the ground up. A file imports from its own room and from the floors below
# it, and never from another room of its own floor. What lies loose in core is the ground, apart
# from the commands; `core` itself is what people import, and stands on the models.
FLOORS = (
    ("ground",),
    ("pictures",),
    ("data", "models"),
    ("core",),
    ("training",),
    ("evaluation",),
    ("profiling", "app"),
    ("pretraining",),
    ("commands",),
    ("apps",),
    ("page",),
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
COMMANDS = {"pretrain", "predict", "eval", "compare"}  # files of core that people start


def module_name(path):
    """core.models.shapes, and core.models of its __init__.py."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def room(module):
    """The room of a module: its folder in core, "apps" or "page"."""
    top, *inner = module.split(".")
    if top in ("apps", "page") or not inner:
        return top
    if inner[0] in COMMANDS:
        return "commands"
    loose = len(inner) == 1 and not (ROOT / "core" / inner[0]).is_dir()
    return "ground" if loose else inner[0]


def imports(source, name=""):
    """Absolute names of what a module imports, at its top, in functions and by import_module.

    What `if TYPE_CHECKING` holds is never run and does not count.
    """
    stack = [ast.parse(source)]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            stack += node.orelse
            continue
        stack += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: a relative import fails where the file is a script"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            yield from (a.value for a in node.args if isinstance(getattr(a, "value", 0), str))


def graph(sources):
    """{module: the modules of `sources` that it imports} of {module: source}."""

    def known(name):
        """The module that a name is, or that it is taken from: the longest one that there is."""
        while name and name not in sources:
            name = name.rpartition(".")[0]
        return name

    found = {name: {known(n) for n in imports(text, name)} for name, text in sources.items()}
    return {name: targets - {"", name} for name, targets in found.items()}


def circle(edges):
    """The modules of one circle, [] where there is none."""
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def arrows_up(edges):
    """["a imports b", ...] against the order of FLOORS, and between apps."""
    wrong = []
    for module, targets in edges.items():
        for target in targets:
            here, there = room(module), room(target)
            if here == there == "apps":
                allowed = _app(module) == _app(target) or "" in (_app(module), _app(target))
            else:
                allowed = here == there or FLOOR[there] < FLOOR[here]
            if not allowed:
                wrong.append(f"{module} imports {target}")
    return sorted(wrong)


def _app(module):
    return ([*module.split("."), ""])[1]


@pytest.fixture(scope="module")
def edges():
    return graph({module_name(path): path.read_text() for path in FILES})


def test_there_is_no_circle(edges):
    assert not circle(edges)


def test_no_arrow_goes_up(edges):
    assert not arrows_up(edges)


def test_every_room_has_a_floor(edges):
    assert {room(module) for module in edges} == FLOOR.keys()


def test_the_walk_sees_what_there_is(edges):
    """Some arrows that are known to be there: at the top, late, of a name and of a module."""
    assert "core.models.networks.mixer" in edges["core.models"]
    assert "core.errors" in edges["core.models.weights.download"]
    assert "core.data.fractals.kernels" in edges["core.data.fractals.render"]  # by import_module
    assert len(edges) > 200
    assert sum(map(len, edges.values())) > 800


@pytest.mark.parametrize(
    "source",
    [
        "from core.models import b",
        "import core.models.b",
        "from core.models.b import name",
        "def late():\n    from core.models.b import name",
        "class A:\n    def late(self):\n        import core.models.b as other",
        "import importlib\nimportlib.import_module('core.models.b')",
        "if TYPE_CHECKING:\n    pass\nelse:\n    import core.models.b",
    ],
)
def test_a_circle_would_be_noticed(source):
    back = {"core.models.b": "from core.models.c import x", "core.models.c": "import core.models.a"}
    sources = {"core.models.a": source, "core.models": "", **back}
    assert set(circle(graph(sources))) == {"core.models.a", "core.models.b", "core.models.c"}
    assert not circle(graph({**sources, "core.models.c": ""}))


def test_types_alone_make_no_circle():
    typed = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from core.models.b import B"
    assert not circle(graph({"core.models.a": typed, "core.models.b": "import core.models.a"}))


@pytest.mark.parametrize(
    ("module", "target"),
    [
        ("core.models.networks.mixer", "core.training.run"),
        ("core.models.networks.mixer", "core.data.loading"),
        ("core.data.loading", "core.models.shapes"),
        ("core.data.loading", "core.evaluation.common"),
        ("core.models.shapes", "core"),
        ("core.errors", "core.models.shapes"),
        ("core.config", "core.training.run"),
        ("core.pictures.fonts", "core.data.loading"),
        ("core.training.run", "core.evaluation.common"),
        ("core.training.run", "core.app.runs"),
        ("core.evaluation.common", "core.profiling.cost"),
        ("core.evaluation.common", "core.pretraining.config"),
        ("core.profiling.cost", "core.app.runs"),
        ("core.app.runs", "core.pretraining.config"),
        ("core.pretraining.transfer", "core.pretrain"),
        ("core.pretrain", "apps.pose.config"),
        ("apps.pose.train", "apps.style.train"),
        ("apps.pose.train", "page.working"),
    ],
)
def test_an_arrow_up_would_be_noticed(module, target):
    assert arrows_up({module: {target}}) == [f"{module} imports {target}"]
    if room(module) != room(target) and FLOOR[room(module)] != FLOOR[room(target)]:
        assert not arrows_up({target: {module}})


def test_mmpose_is_imported_where_it_has_been_mended():
    """By the plug-in; all other files take it from mmpose_compat, which mends it first."""
    texts = {path: path.read_text() for path in FILES}
    those = {p for p, text in texts.items() for n in imports(text) if f"{n}.".startswith("mmpose.")}
    own = ROOT / "apps/pose"
    allowed = own / "mmpose_plugin"
    assert those
    assert all(p == own / "data/mmpose_compat.py" or p.is_relative_to(allowed) for p in those)


def test_no_name_shadows_a_library():
    assert not [path for path in ROOT.glob("apps/*/*") if path.stem in SHADOWS]
