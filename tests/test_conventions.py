"""What others look for in a repository: torch.hub, a citation, the CI's file, a Dockerfile."""

import importlib.util
import re
from pathlib import Path

import pytest
import torch
import yaml

import core
from core import InputError
from core.training import session
from core.training.session import build_accelerator

ROOT = Path(__file__).resolve().parents[1]
MIXERS = {f"mixer_{name}" for name in ("s32", "s16", "b32", "b16", "l32", "l16", "h14")}


def hub(name, *args, **options):
    return torch.hub.load(str(ROOT), name, *args, source="local", **options)


def test_torch_hub_lists_the_backbones_alone():
    spec = importlib.util.spec_from_file_location("hubconf", ROOT / "hubconf.py")
    hubconf = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hubconf)
    entries = {n for n, value in vars(hubconf).items() if callable(value) and n[0] != "_"}
    assert entries == {"backbone", "photos", "fractals", *MIXERS}  # as torch.hub.list finds them


@pytest.mark.parametrize("name", ["photos", "fractals"])
def test_torch_hub_opens_kept_weights(name):
    images = torch.rand(1, 3, 48, 48)
    ours = core.create_backbone("mixer_c256_l8_p8", 48, weights=name).eval()
    with torch.inference_mode():
        torch.testing.assert_close(hub(name, 48).eval()(images), ours(images))


def test_torch_hub_passes_options_on():
    assert hub("mixer_s32", image_size=64, num_blocks=1).grid == (2, 2)
    assert hub("backbone", "mixer_c16_l1_p8", (16, 32)).grid == (2, 4)
    with pytest.raises(InputError, match="unknown backbone"):
        hub("backbone", "mixer_x")


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors", "license"} <= citation.keys()
    project = (ROOT / "pyproject.toml").read_text()
    assert f'version = "{citation["version"]}"' in project
    assert f'license = "{citation["license"]}"' in project
    assert f"## {citation['version']}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_workflow_calls_what_the_ci_calls():
    job = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())["jobs"]["test"]
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
    assert (ROOT / ".ci/run").stat().st_mode & 0o100
    low, high = re.search(
        r'requires-python = ">=3\.(\d+),<3\.(\d+)"', (ROOT / "pyproject.toml").read_text()
    ).groups()
    assert job["strategy"]["matrix"]["python"] == [f"3.{n}" for n in range(int(low), int(high))]


def test_the_dockerfile_copies_what_is_there_and_leaves_torch_in():
    text = (ROOT / "Dockerfile").read_text()
    for words in re.findall(r"^COPY (.+) \S+$", text, re.M):
        assert all((ROOT / word).exists() for word in words.split())
    pins = (ROOT / "requirements.txt").read_text()
    assert re.search(r"^uv==[0-9.]+", pins, re.M)
    (left_out,) = re.findall(r"grep -vE '([^']+)' requirements.txt", text)
    kept = [line for line in pins.splitlines() if not re.search(left_out, line)]
    names = {re.match(r"[\w-]*", line)[0] for line in kept}
    assert {"torch", "torchvision", "uv"} <= names
    assert not any(name.startswith(("nvidia", "triton", "cuda")) for name in names)


def test_trackers_by_name(monkeypatch):
    """accelerate would leave one out that is not installed, without a word."""
    monkeypatch.setattr(session, "get_available_trackers", lambda: ["tensorboard"])
    for name in ("trackio", "wandb"):
        with pytest.raises(InputError, match=f"{name} is not installed"):
            build_accelerator(trackers=(name,))
    with pytest.raises(InputError, match="Did you mean trackio"):
        build_accelerator(trackers=("trakio",))
    monkeypatch.setattr(session, "get_available_trackers", lambda: ["tensorboard", "trackio"])
    session._check_trackers(("tensorboard", "trackio"))
