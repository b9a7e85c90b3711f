"""A network kept under a name: written from a run, and opened wherever a run is."""

import json
from functools import partial

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from apps.pointcloud import keep as cloud_keep
from apps.pointcloud import predict as cloud_predict
from apps.pointcloud.config import PointCloudConfig
from apps.pointcloud.keep import keep
from apps.pointcloud.models.base import Network
from apps.pointcloud.models.network import ReconNet, create_network
from apps.pointcloud.presets import surface_debug
from core import InputError
from core.app.kept import KeptNetworks
from core.app.runs import reopen
from core.config import save_config, to_plain
from core.training.files.checkpoint import save_weights, write_checkpoint
from core.training.session import Session

WORDS = {"trained_on": "Drawn solids.", "terms": "Free."}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working folder, and an empty place for what is kept."""
    monkeypatch.setattr(Network, "KEPT", KeptNetworks(tmp_path / "kept", "scans"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    rng = np.random.default_rng(0)
    points = rng.standard_normal((60, 3))
    np.savetxt("scan.xyz", points / np.linalg.norm(points, axis=1, keepdims=True))
    return tmp_path / "here"


@pytest.fixture
def run(tmp_path):
    """As training leaves it."""
    config, folder = surface_debug(), tmp_path / "run"
    torch.manual_seed(0)
    network = create_network(config.model)
    network.spacing.fill_(0.1)
    torch.nn.init.normal_(network.refine.last.weight, std=0.1)
    folder.mkdir()
    save_config(config, folder / "config.yaml")

    def write(place):
        save_weights(network.state_dict(), place / "model.safetensors")
        (place / "config.json").write_text(json.dumps(to_plain({"step": 1, **network.describe()})))

    write_checkpoint(folder, 1, write)
    return folder


def test_a_round_trip_rounds_once(run, here):
    kept = keep(run, "scans", **WORDS)
    assert {v.dtype for v in load_file(kept / "model.safetensors").values()} <= {
        torch.float16,
        torch.int64,
    }
    exact = reopen(run, PointCloudConfig, ReconNet, Session()).network.state_dict()
    opened = reopen("scans", PointCloudConfig, ReconNet, Session())
    assert opened.kept == "scans"
    state = opened.network.state_dict()
    assert all(torch.equal(state[name], v.half().to(v.dtype)) for name, v in exact.items())
    about = json.loads((kept / "config.json").read_text())["about"]
    assert 0 < about["rounding"] < 0.01
    card = (kept / "README.md").read_text()
    for words in ("predict.py scans scan.ply", "Drawn solids.", "Terms: Free.", "start: surface"):
        assert words in card, words
    assert str(run) not in card


def test_predict_takes_it_where_no_run_is_named(run, here, command):
    predict = partial(command, cloud_predict.main)
    keep(run, "scans", **WORDS)
    for words in (["scan.xyz"], ["scans", "scan.xyz"], [run, "scan.xyz"]):
        done = predict(*words, "--no-page", "--output", "out")
        assert done.returncode == 0, done.output
        (record,) = json.loads((here / "out/predictions.json").read_text())
        assert (record["method"], record["points_in"]) == ("network", 60)
    done = predict("scan.xyz", "--method", "mls", "--no-page", "--output", "plain")
    assert done.returncode == 0, done.output


def test_where_none_is_kept_a_run_is_asked_for(here, command):
    done = command(cloud_predict.main, "scan.xyz")
    assert done.returncode == 2
    assert "no run is named, and no network is kept in this package" in done.output


def test_the_command_keeps_under_its_name_once(run, here, capsys):
    words = [str(run), "--data", "Drawn solids.", "--terms", "Free."]
    cloud_keep.main(words)
    assert "scans: 0." in capsys.readouterr().out
    with pytest.raises(SystemExit):
        cloud_keep.main(words)
    assert "exists already" in capsys.readouterr().err
    with pytest.raises(InputError, match="choose small letters"):
        keep(run, "Scans", **WORDS)
