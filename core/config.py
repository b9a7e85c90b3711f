"""Configurations: presets on the command line, yaml in the run's folder, errors for people.

A setting that has moved is named in its dataclass: `RENAMED: ClassVar[dict[str, str]]`, from the
old dotted name to the new one (or several, with spaces), as seen from that dataclass. The yaml of
old runs opens by it, and the old name on the command line is an InputError that says the new one.

A setting that another one stands in for is named in its dataclass too: `INSTEAD: ClassVar[dict[str,
str]]`, from a field to the one that has no say, its default then, where the command line has the
first and not the second.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import gc
import operator
import os
import signal
import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

from core.errors import InputError, first_line
from core.errors import did_you_mean as did_you_mean
from core.files import read_text, write_text
from core.ranges import check_ranges, show_ranges

Config = TypeVar("Config")
SMALLER = "choose a smaller batch, smaller inputs or a smaller network"
ABSENT = object()  # where a file does not have a value, not even None


def cli(presets: Mapping[str, Callable[[], Config]], argv: list[str] | None = None) -> Config:
    """``[PRESET] [--section.field value ...]`` as a configuration; no word means the first preset.

    ``presets`` maps names to functions whose docstring states the expected result, time and
    hardware, and which return a frozen dataclass. --help and --help-all print every setting; a
    script that calls `core.help.answer_help` answers --help before, on one screen.
    """
    import tyro  # here, so that core can be imported without it

    argv = list(sys.argv[1:] if argv is None else argv)
    argv = ["--help" if word == "--help-all" else word for word in argv]
    name = argv.pop(0) if argv and not argv[0].startswith("-") else next(iter(presets))
    if name not in presets:
        raise InputError(f"there is no preset {name!r}.{did_you_mean(name, presets)}")
    default = presets[name]()
    refuse_old_names(type(default), argv)
    words = "\n".join(f"  {key}: {_first_line(make)}" for key, make in presets.items())
    show_ranges(type(default))
    config = tyro.cli(
        type(default),
        prog=f"{Path(sys.argv[0]).name} [PRESET]",
        default=default,
        args=argv,
        description=f"Presets (first word):\n{words}",
    )
    check_ranges(config, "--")
    config = _said_instead(config, {word.split("=")[0].replace("-", "_") for word in argv})
    _refuse_lack(name, presets[name], config)
    return config


def needs(*settings: str) -> Callable[[Callable], Callable]:
    """Mark a preset that cannot do without one of these settings (dotted names); `cli` refuses it.

    What an app would otherwise make itself is not what such a preset is for.
    """

    def mark(make: Callable) -> Callable:
        make.needs = settings
        return make

    return mark


def _refuse_lack(name: str, preset: Callable, config: Any) -> None:
    names = getattr(preset, "needs", ())
    if names and not any(operator.attrgetter(setting)(config) for setting in names):
        options = " or ".join(f"--{setting.replace('_', '-')}" for setting in names)
        raise InputError(f"the preset {name} needs {options}: say where your data lies")


def _said_instead(config: Any, said: set[str], prefix: str = "__") -> Any:
    """The configuration, where a setting that was said stands in for another (INSTEAD)."""
    changes = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            value = _said_instead(value, said, f"{prefix}{field.name}.")
        other = getattr(config, "INSTEAD", {}).get(field.name)
        if other and value and prefix + field.name in said and prefix + other not in said:
            changes[other] = type(config).__dataclass_fields__[other].default
        changes.setdefault(field.name, value)
    return dataclasses.replace(config, **changes)


def _first_line(make: Callable) -> str:
    return (make.__doc__ or "").strip().split("\n")[0]


def refuse_old_names(kind: type, argv: Sequence[str]) -> None:
    """Raise InputError for an option of `argv` that has another name today, saying that one."""
    now = renamed(kind)
    for word in argv:
        name = word.split("=")[0].removeprefix("--")
        if word.startswith("--") and (new := now.get(name.replace("-", "_"))):
            now_called = " and ".join(f"--{n.replace('_', '-')}" for n in new.split())
            raise InputError(f"--{name} is now {now_called}")


def renamed(kind: type, prefix: str = "") -> dict[str, str]:
    """RENAMED of a dataclass and of all that it holds, as seen from the outermost one."""
    own = getattr(kind, "RENAMED", {}).items()
    names = {prefix + old: " ".join(prefix + name for name in new.split()) for old, new in own}
    for name, hint in typing.get_type_hints(kind).items():
        if dataclasses.is_dataclass(hint):
            names |= renamed(hint, f"{prefix}{name}.")
    return names


def named_pairs(setting: str, words: Sequence[str]) -> list[tuple[str, str]]:
    """(NAME, VALUE) of each word NAME=VALUE of a setting. Raises InputError for another."""
    if wrong := [word for word in words if not all(word.partition("="))]:
        raise InputError(f"--{setting} {wrong[0]}: expected NAME=VALUE")
    return [(name, value) for name, _, value in (word.partition("=") for word in words)]


def save_config(config: Any, path: str | os.PathLike) -> None:
    """Write a dataclass as yaml, atomically."""
    write_text(path, yaml.safe_dump(to_plain(config), sort_keys=False))


def load_config(kind: type[Config], path: str | os.PathLike) -> Config:
    """Read what `save_config` wrote. An unknown, missing or ill-typed field is an InputError."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} is missing: is {path.parent} the folder of a run?")
    return build(kind, read_yaml(path), str(path))


def read_yaml(path: str | os.PathLike, hint: str = "check the path") -> Any:
    """The content of a yaml file. Raises InputError, with the ``hint`` where there is none.

    A name twice at one place is refused, where PyYAML lets the last one win unseen.
    """
    text = read_text(path, hint)
    try:
        return yaml.load(text, _Loader)
    except InputError as error:  # of a name that comes twice
        raise InputError(f"{path}: {error}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is not yaml: {' '.join(str(error).split())}") from error


class _Loader(yaml.SafeLoader):
    """yaml's safe one, to which a name twice in a mapping is an error (yaml 1.2, section 3.2.1)."""

    def compose_mapping_node(self, anchor):
        node, lines = super().compose_mapping_node(anchor), {}
        names = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key in names:
            line, name = key.start_mark.line + 1, (key.tag, key.value)
            if name in lines and key.value != "<<":  # which takes over another mapping
                first = lines[name]
                raise InputError(f"{key.value} comes twice, in lines {first} and {line}: keep one")
            lines[name] = line
        return node


def to_plain(value: Any) -> Any:
    """Dataclasses and tuples as dicts and lists, for yaml and json."""
    if dataclasses.is_dataclass(value):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    return value


def flatten(value: Any, prefix: str = "") -> dict[str, bool | int | float | str]:
    """Dotted names and scalars, as every tracker accepts them."""
    if isinstance(value := to_plain(value), Mapping):
        items = (flatten(item, f"{prefix}{key}.") for key, item in value.items())
        return {key: item for part in items for key, item in part.items()}
    scalar = value if isinstance(value, bool | int | float | str) else str(value)
    return {prefix.rstrip("."): scalar}


def build(kind: type[Config], values: Any, where: str) -> Config:
    """A dataclass of type ``kind`` from plain values, strictly; ``where`` names the source."""
    if not isinstance(values, Mapping):
        raise InputError(f"{where}: expected fields of {kind.__name__}, got {values!r}")
    hints = typing.get_type_hints(kind)
    fields = [field.name for field in dataclasses.fields(kind)]  # as declared, for the message
    values = _with_new_names(kind, values)
    for name in values:
        if name not in fields:
            raise InputError(f"{where}: unknown field {name!r}.{did_you_mean(str(name), fields)}")
    config = kind(**{n: _convert(hints[n], v, f"{where}: {n}") for n, v in values.items()})
    check_ranges(config, f"{where}: ")
    return config


def _with_new_names(kind: type, values: Mapping) -> Mapping:
    """The values of an old file where RENAMED says that they are today; a new name wins."""
    values = copy.deepcopy(values)
    for old, new in getattr(kind, "RENAMED", {}).items():
        value = _take(values, old.split("."))
        if value is not ABSENT:
            for name in new.split():
                _give(values, name.split("."), value)
    return values


def _take(values: dict, path: Sequence[str]) -> Any:
    """Remove and return the value at a path, and the sections that it leaves empty, or ABSENT."""
    name, *deeper = path
    if not deeper:
        return values.pop(name, ABSENT)
    section = values.get(name)
    value = _take(section, deeper) if isinstance(section, dict) else ABSENT
    if value is not ABSENT and not section:
        del values[name]
    return value


def _give(values: dict, path: Sequence[str], value: Any) -> None:
    """Set the value at a path, unless there is one."""
    name, *deeper = path
    here = values.setdefault(name, {} if deeper else value)
    if deeper and isinstance(here, dict):  # else `build` says what is wrong with the section
        _give(here, deeper, value)


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        return build(hint, value, where)
    if origin is Literal:
        return _checked(value in args, value, where, f"one of {', '.join(map(str, args))}")
    if origin in (typing.Union, types.UnionType):
        return _union(args, value, where)
    if origin is tuple:
        return _tuple(args, value, where)
    if hint is float:  # PyYAML reads 1e-3 as a string
        return _float(value, where)
    if hint is Any:
        return value
    return _checked(type(value) is (origin or hint), value, where, (origin or hint).__name__)


def _checked(right: bool, value: Any, where: str, expected: str) -> Any:
    if not right:
        raise InputError(f"{where} is {value!r}, expected {expected}")
    return value


def _float(value: Any, where: str) -> float:
    try:
        return float(_checked(not isinstance(value, bool), value, where, "a number"))
    except (TypeError, ValueError) as error:
        raise InputError(f"{where} is {value!r}, expected a number") from error


def _union(args: tuple, value: Any, where: str) -> Any:
    if value is None and type(None) in args:
        return None
    (kind,) = [arg for arg in args if arg is not type(None)]  # only ``X | None`` is used
    return _convert(kind, value, where)


def _tuple(args: tuple, value: Any, where: str) -> tuple:
    value = _checked(isinstance(value, list | tuple), value, where, "a list")
    kinds = [args[0]] * len(value) if args[-1] is Ellipsis else args
    _checked(len(kinds) == len(value), value, where, f"{len(kinds)} values")
    return tuple(
        _convert(k, v, f"{where}[{i}]") for i, (k, v) in enumerate(zip(kinds, value, strict=True))
    )


def entry_point(main: Callable[..., None]) -> Callable[..., None]:
    """Print an InputError, an operating system's refusal, or that memory ran out, as one line.

    The exit status is 2. Ctrl-C is one line too, with the status of a process that it ended.

    Where several processes worked together, what still holds their group is let go when ``main``
    returns. The threads of a Gloo group would otherwise outlive Python, and now and then abort a
    process that had finished its work (github.com/pytorch/pytorch/issues/190489).
    """

    @functools.wraps(main)
    def guarded(*args, **kwargs) -> None:
        try:
            main(*args, **kwargs)
            if int(os.environ.get("WORLD_SIZE", "1")) > 1:
                gc.collect()
        except InputError as error:
            sys.exit(_complain(str(error)))
        except OSError as error:  # a full disk, a missing permission
            sys.exit(_complain(f"{error.filename or 'writing'}: {error.strerror or error}"))
        except (MemoryError, RuntimeError) as error:
            if not _is_memory(error):
                raise
            sys.exit(_complain(f"memory ran out ({first_line(error):.300}): {SMALLER}"))
        except KeyboardInterrupt:  # in a run the second one: the first saves and stops
            print("stopped by Ctrl-C", file=sys.stderr, flush=True)
            sys.exit(128 + signal.SIGINT)

    return guarded


def _is_memory(error: MemoryError | RuntimeError) -> bool:
    """Whether Python, numpy or torch, of which no class of an error may be asked here, ran out."""
    kind = any(base.__name__ in ("MemoryError", "OutOfMemoryError") for base in type(error).__mro__)
    return kind or "can't allocate memory" in str(error)


def _complain(message: str) -> int:
    message = message.replace("\n", "\\n")  # as in the name of a file
    print(f"error: {message}", file=sys.stderr, flush=True)
    return 2
