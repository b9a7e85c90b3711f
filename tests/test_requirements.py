"""The pins are whole: what a pinned package asks for is pinned, on every Python that is supported.

Nothing else would tell: pins are installed as they stand, and tests of an extra skip without it.
"""

import re
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]


def left_out():
    """Names that pyproject.toml excludes, each with its reason beside it."""
    text = (ROOT / "pyproject.toml").read_text()
    (listed,) = re.findall(r"exclude-dependencies = \[(.*?)\]", text, re.S)
    return set(re.findall(r'"([^"]+)"', listed))


def pinned(environment):
    """{name: pin} of requirements.txt for an environment."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(p.name): p for p in pins if holds(p, environment)}


def holds(requirement, environment):
    return not requirement.marker or requirement.marker.evaluate({**environment, "extra": ""})


def asked_for(pin):
    """What a pinned package asks for, where it is installed at this very version."""
    try:
        there = version(pin.name) in pin.specifier
    except PackageNotFoundError:  # of another Python or machine
        return []
    return [Requirement(words) for words in requires(pin.name) or () if there]


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12"])
def test_what_a_pinned_package_asks_for_is_pinned(python):
    environment = {"python_version": python, "python_full_version": f"{python}.9"}
    there, known = pinned(environment), left_out()
    asked = {one: pin.name for pin in there.values() for one in asked_for(pin)}
    assert len(asked) > 100
    missing = {
        f"{by} asks for {one.name}"
        for one, by in asked.items()
        if holds(one, environment) and canonicalize_name(one.name) not in there.keys() | known
    }
    assert not missing
