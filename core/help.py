"""`--help` on one screen, before anything slow is imported.

The presets with the first line of their docstrings, and the settings that are changed most with
the comments they have in config.py: what the sources say, read as text (`ast`), since importing
torch alone takes seconds. A script asks first of all, after its docstring:

    from core.help import answer_help

    if __name__ == "__main__":
        answer_help(__file__)

The settings are the names in CHANGED_MOST of its config.py, and those of every training. All of
them, with defaults, units and ranges, come with --help-all (`core.config.cli`).
"""

from __future__ import annotations

import ast
import shutil
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import takewhile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ASKING = ("-h", "--help")
OF_ALL = ("optim.lr", "run.epochs", "run.steps", "run.batch_size", "run.folder", "run.resume")


def answer_help(
    script: str, presets: Sequence[str] = ("presets.py",), config: str = "config.py"
) -> None:
    """Print the help of a script and leave, where that is asked for.

    presets: the files of its presets, config: that of its settings; beside the script.
    """
    if set(sys.argv[1:]) & set(ASKING):
        beside = Path(script).resolve().parent
        print(help_text(sys.argv[0], [beside / name for name in presets], beside / config))
        raise SystemExit(0)


def help_text(script: str, presets: Sequence[Path], config: Path) -> str:
    """One screen about a script that takes a preset and settings."""
    lines = [line for path in presets for line in preset_lines(path)]
    settings = [(f"--{name.replace('_', '-')}", note) for name, note in changed_most(config)]
    return "\n".join(
        [
            f"usage: {script} [PRESET] [--section.field VALUE ...]",
            "",
            f"Presets ({lines[0][0]}, where none is named):",
            *_rows(lines),
            "",
            "The settings that are changed most:",
            *_rows(settings),
            "",
            "All settings of a preset, with their values, units and ranges: [PRESET] --help-all",
        ]
    )


def _rows(pairs: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Names and what they mean, a line each, cut where the terminal ends."""
    width = max(80, shutil.get_terminal_size((110, 24)).columns)
    column = min(32, max(len(name) for name, _ in pairs))
    for name, meaning in pairs:
        line = f"  {name:{column}}  {meaning}"
        yield line if len(line) <= width else f"{line[: width - 3].rstrip()}..."


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def preset_lines(path: Path) -> list[tuple[str, str]]:
    """Name and first line of every preset of a file: its public functions without arguments."""
    presets = [
        node
        for node in _parsed(path).body
        if isinstance(node, ast.FunctionDef) and not (node.name.startswith("_") or node.args.args)
    ]
    return [(node.name, (ast.get_docstring(node) or "").split("\n")[0]) for node in presets]


def changed_most(config: Path, of_all: Sequence[str] = OF_ALL) -> list[tuple[str, str]]:
    """Dotted name and comment of each setting in CHANGED_MOST, and of those of every training.

    The last class of the file has all sections.
    """
    body = _parsed(config).body
    (names,) = (
        ast.literal_eval(node.value)
        for node in body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "CHANGED_MOST"
    )
    whole = [node.name for node in body if isinstance(node, ast.ClassDef)][-1]
    return [(name, _comment(config, whole, name.split("."))) for name in (*names, *of_all)]


def _comment(path: Path, kind: str, names: Sequence[str]) -> str:
    """What stands behind a field of a dataclass, or of one that it has as a section."""
    path, node = _class(path, kind)
    for field in node.body:
        if isinstance(field, ast.AnnAssign) and field.target.id == names[0]:
            if len(names) > 1:
                return _comment(path, field.annotation.id, names[1:])
            return _beside(path.read_text(encoding="utf-8").splitlines()[: field.lineno])
    return _comment(path, node.bases[0].id, names)  # a field that is inherited


def _beside(lines: Sequence[str]) -> str:
    """The comment at the end of the last line, or the one above it."""
    *above, line = (line.strip() for line in lines)
    if "  # " in line:
        return line.partition("  # ")[2]
    notes = list(takewhile(lambda text: text.startswith("#"), reversed(above)))
    return " ".join(note.removeprefix("# ") for note in reversed(notes))


def _class(path: Path, name: str) -> tuple[Path, ast.ClassDef]:
    """A class and its file, from a file that defines or imports it."""
    for node in _parsed(path).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return path, node
        if isinstance(node, ast.ImportFrom) and name in [alias.name for alias in node.names]:
            module = ROOT.joinpath(*node.module.split("."))
            package = module / "__init__.py"
            return _class(package if package.is_file() else module.with_suffix(".py"), name)
    raise LookupError(f"{path} has no class {name}")
